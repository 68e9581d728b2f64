"""Markdown of a model, made safe to show: nothing is loaded, nothing runs, and links lead to files of the workspace.

    safe = Safe(links); safe.feed(piece); safe.feed(piece); safe.text        # at any time
    safe.end()                                                               # closes what is open

It works line by line, so the result does not depend on how the text is cut into pieces, and what is shown while it
streams is as safe as the end. Rather than follow all of Markdown's rules, it leaves no room to disagree about them:

- A block of code is always written at the left margin with its own fence, whatever it was nested in: so whoever renders
  it knows as exactly as we do what is code. In it the text stays, but for characters that cannot be seen.
- Elsewhere no `<` is left, no `](`, no `]:` and no `![`, but where we made them; a span of code ends in its line.
"""

import re
from collections.abc import Callable, Sequence
from urllib.parse import quote, unquote, urlsplit

from hearth.core.invisible import cleaned

LINE_CHARS_MAX = 8_000
"""A longer line is broken: each is looked at as a whole."""
INFO_CHARS_MAX = 30
FENCE_CHARS_MAX = 40
LINK_CHARS_MAX = 1_000
NESTING_MAX = 3
"""Brackets within the text of a link."""

Links = Callable[[str], str | None]
"""The URI that a link's target may be shown as, None for one that may not."""

_FENCE = re.compile(r"(?P<lead>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)")
_INFO = re.compile(r"[\w+#.-]+")
_DRAWN = frozenset(("mermaid", "math", "katex", "dot", "graphviz", "plantuml", "svg", "html"))
"""Renderers make pictures of these, which may load something: they are shown as text."""
_ADDRESS = re.compile(
    r"(?:\b[A-Za-z][A-Za-z0-9+.-]{1,30}://|\bwww\.|\b(?:mailto|javascript|command|data|vscode):)[^\s`<>]*"
)
_TICK_BOX = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\[[ xX]\](?=[ \t])")
_LINK = re.compile(r"\[(?P<text>(?:[^\[\]\\`]|\\.|`[^`]*`)*)\]\((?P<to>[^\s()<>]*)(?:[ \t]+(?:\"[^\"]*\"|'[^']*'))?\)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LINES = re.compile(r"L?(\d+)(?:-L?(\d+))?$")


def safe(text: str, links: Links = lambda _target: None) -> str:
    """A whole text, made safe."""
    one = Safe(links)
    one.feed(text)
    one.end()
    return one.text


class Safe:
    """See the module docstring. `links` decides about link targets; without it none is left."""

    def __init__(self, links: Links = lambda _target: None) -> None:
        self._links = links
        self._done: list[str] = []
        self._joined = ""
        self._line: list[str] = []
        self._line_chars = 0
        self._fence = ""
        self._indent = 0

    def feed(self, piece: str) -> None:
        """Take in more of the text."""
        head, newline, rest = piece.partition("\n")
        while newline:
            self._add(head)
            self._commit("\n")
            head, newline, rest = rest.partition("\n")
        self._add(head)

    def end(self) -> None:
        """The text is over: what follows stands outside of its blocks of code."""
        if self._line_chars:
            self._commit("")
        if self._fence:
            self._done.append(f"\n{self._fence}\n")
            self._fence = ""

    @property
    def text(self) -> str:
        """All so far. What was rendered is not rendered again."""
        return self.rendered + self.tail

    @property
    def rendered(self) -> str:
        """The lines that are whole: later ones only add to it."""
        if self._done:
            self._joined += "".join(self._done)
            self._done.clear()
        return self._joined

    @property
    def tail(self) -> str:
        """The line that has begun, and the end of an open block of code."""
        line = ""
        if self._line_chars:
            fence, indent = self._fence, self._indent
            line = self._shown("".join(self._line))
            opened = self._fence
            self._fence, self._indent = fence, indent
        else:
            opened = self._fence
        return f"{line}\n{opened}\n" if opened else line

    def _add(self, text: str) -> None:
        while self._line_chars + len(text) > LINE_CHARS_MAX:
            cut = LINE_CHARS_MAX - self._line_chars
            self._line.append(text[:cut])
            self._commit("\n")
            text = text[cut:]
        if text:
            self._line.append(text)
            self._line_chars += len(text)

    def _commit(self, ending: str) -> None:
        line = "".join(self._line)
        self._line.clear()
        self._line_chars = 0
        self._done.append(self._shown(line) + ending)

    def _shown(self, line: str) -> str:
        """A line as it is shown; opens and closes fences."""
        line = cleaned(line.replace("\r", ""))[0]
        found = _FENCE.fullmatch(line)
        if self._fence:
            if (
                found
                and not found["info"].strip()
                and not found["lead"].strip()
                and _closes(found["mark"], self._fence)
            ):
                fence, self._fence = self._fence, ""
                return fence
            return _without_indent(line, self._indent)
        if found and not ("`" in found["info"] and found["mark"][0] == "`"):
            self._fence, self._indent = found["mark"][:FENCE_CHARS_MAX], len(found["lead"].expandtabs(4))
            info = _INFO.match(found["info"].strip())
            name = info[0][:INFO_CHARS_MAX] if info else ""
            lead = found["lead"].strip()
            head = f"{lead}\n" if lead else ""
            return f"{head}{self._fence}{'text' if name.casefold() in _DRAWN else name}"
        box = _TICK_BOX.match(line)
        return line[: box.end()] + _prose(line[box.end() :], self._links) if box else _prose(line, self._links)


def _closes(mark: str, fence: str) -> bool:
    return mark[0] == fence[0] and len(mark) >= len(fence)


def _without_indent(line: str, indent: int) -> str:
    """A line of code without the indentation that its block had in a list."""
    width = 0
    for at, char in enumerate(line):
        if width >= indent or char not in " \t":
            return line[at:]
        width += 4 - width % 4 if char == "\t" else 1
    return ""


def _prose(line: str, links: Links, depth: int = 0) -> str:
    """A line outside of code, or the text of a link in one."""
    out: list[str] = []
    at = 0
    while at < len(line):
        char = line[at]
        if char == "\\":
            # What is escaped stays escaped; a backslash at the end of a line must not reach what comes after it.
            following = line[at + 1 : at + 2]
            out.append({"<": "&lt;", "": "\\\\"}.get(following, char + following))
            at += 2
        elif char == "`":
            size, shown = _code(line, at, links)
            out.append(shown)
            at += size
        elif char == "<":
            out.append("&lt;")
            at += 1
        elif char == "!" and line[at + 1 : at + 2] == "[":
            at += 1  # what would be a picture is a link, if anything
        elif char == "[" and depth < NESTING_MAX and (found := _LINK.match(line, at)):
            out.append(_linked(found, links, depth))
            at = found.end()
        elif char in "[]":
            out.append("\\" + char)
            at += 1
        elif char.isalpha() and not (at and (line[at - 1].isalnum() or line[at - 1] == "_")):
            if found := _ADDRESS.match(line, at):
                out.append(_as_code(found[0]))
                at = found.end()
            else:
                out.append(char)
                at += 1
        else:
            out.append(char)
            at += 1
    return "".join(out)


def _code(line: str, at: int, links: Links) -> tuple[int, str]:
    """Backticks: the span that they begin, or themselves as text."""
    size = len(line) - at - len(line[at:].lstrip("`"))
    mark = line[at : at + size]
    end = at + size
    while (end := line.find(mark, end)) >= 0:
        run = len(line) - end - len(line[end:].lstrip("`"))
        if run == size:
            inner = line[at + size : end]
            if "|" in inner and re.search(r"\]|<|!\[|://", inner):
                break  # a table would end the span at the bar, and show what follows
            return end + size - at, f"{mark}{inner}{mark}"
        end += run
    return size, "\\`" * size


def _linked(found: re.Match[str], links: Links, depth: int) -> str:
    target = found["to"]
    text = _prose(found["text"], links, depth + 1)
    uri = links(target) if len(target) <= LINK_CHARS_MAX else None
    if uri is not None:
        return f"[{text}]({uri})"
    if not target or target.startswith("#"):
        return text
    return f"{text} ({_as_code(target)})" if target not in found["text"] else text


def _as_code(text: str) -> str:
    """Text as a span of code: nobody makes a link of it."""
    bare = text.replace("`", "'").replace("|", "/").replace("<", "(")
    tail = bare[len(bare.rstrip(".,;:!?)")) :]
    return f"`{bare[: len(bare) - len(tail)]}`{tail}" if len(tail) < len(bare) else bare


def workspace_links(folders: Sequence[str]) -> Links:
    """Links to files of these folders (absolute, real paths): relative to the first of them, absolute, or `file:` URIs;
    with lines (`#L3-L9`, `:3`). Whether the file is there is not looked at."""
    roots = [folder.replace("\\", "/").rstrip("/") for folder in folders]

    def link(target: str) -> str | None:
        path, lines = _path_and_lines(target)
        if not path or not roots:
            return None
        if path.startswith("/") or re.match(r"[A-Za-z]:/", path):
            if not any(path.startswith(root + "/") for root in roots):
                return None
        else:
            path = f"{roots[0]}/{path.removeprefix('./')}"
        if any(part in ("..", "") for part in path.strip("/").split("/")):
            return None
        return file_uri(path, lines)

    return link


def file_uri(path: str, lines: tuple[int, int] | None = None) -> str:
    """A `file:` URI of an absolute path with "/", and of its lines (0-based, end exclusive) as editors open them."""
    uri = "file://" + quote(path if path.startswith("/") else "/" + path, safe="/:@-._~!$+,=")
    if lines is None:
        return uri
    return f"{uri}#L{lines[0] + 1}" + (f"-L{lines[1]}" if lines[1] > lines[0] + 1 else "")


def _path_and_lines(target: str) -> tuple[str, tuple[int, int] | None]:
    """A path with "/", and lines; "" for what is no path."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "", None
    path = target
    fragment = ""
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path, fragment = unquote(parts.path), parts.fragment
        path = path[1:] if re.match(r"/[A-Za-z]:/", path) else path
    elif _SCHEME.match(target) and not re.match(r"[A-Za-z]:[/\\]|[^:/]+:\d", target):
        return "", None
    else:
        path, _, fragment = target.partition("#")
        head, colon, tail = path.rpartition(":")
        if colon and _LINES.match(tail) and head:
            path, fragment = head, tail
        path = unquote(path).replace("\\", "/")
    if path.startswith("//") or any(ord(char) < 32 for char in path) or "?" in path:
        return "", None
    found = _LINES.match(fragment)
    if not found:
        return path, None
    first = max(1, int(found[1][:9]))
    return path, (first - 1, max(first, int((found[2] or found[1])[:9])))
