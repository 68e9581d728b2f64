"""What is wrong with a model's text as a whole or line by line: chat around the code, control tokens, another language,
another unit of indentation. Pure functions; `candidate.Trimmer` decides when to ask them."""

import re
from collections.abc import Sequence

from hearth.core.scan import Scanner, Traits, indent_of, indent_width, opens_block, scanned, traits_of

UNIT_LINES_MAX = 60
FENCE = "```"
_CHAT = (
    "Here is ", "Here's ", "Here are ", "Sure,", "Sure!", "Sure.", "Certainly", "Of course", "I'm sorry", "I am sorry",
    "I cannot", "I can't", "As an AI", "Below is ", "The following ", "To complete ", "To fix ", "You can ",
    "This code ", "The code ", "The completed ", "Voici ", "Claro", "Aquí ",
)  # fmt: skip
_TOKEN_TAILS = ("fim_middle|>", "fim_middle>", "_middle|>", "middle|>", "fim_suffix|>", "<fim_middle>", "<MID>")
"""What is left of a control token whose first part the server took away."""
LEAKED = re.compile(
    r"<\|[\w▁ ]{2,30}\|>|<｜[^｜\n]{2,30}｜>"
    r"|<\|?fim[_-](?:prefix|suffix|middle|pad)\|?>|fim_(?:prefix|suffix|middle)\|>"
    r"|<(?:PRE|SUF|MID|EOT|file_sep|reponame|gh_stars)>|\[(?:PREFIX|SUFFIX|MIDDLE)\]"
    r"|<\|?(?:im_(?:start|end)|endoftext|file_separator|eot_id)\|?>"
)
LEAKED_PART = re.compile(r"(?:<\|\w{2,30}\|?|<｜[^｜\n]{1,30}|<fim_\w{0,8})$")
PROSE_LANGUAGES = frozenset(
    {"markdown", "plaintext", "latex", "tex", "restructuredtext", "asciidoc", "quarto", "rmd", "git-commit", "hearth"}
)
_MARKUP = frozenset(
    {
        "html", "xml", "vue", "svelte", "astro", "php", "javascript", "javascriptreact", "typescriptreact", "razor",
        "handlebars", "erb", "xsl", "vue-html", "jinja", "django-html", "twig", "mdx",
    }
)  # fmt: skip
_TAG = re.compile(
    r"\s*<(?:!DOCTYPE\b|!--|/?(?:html|head|body|div|span|p|br|ul|ol|li|script|style|table|h[1-6]|a|img|strong|em)\b"
    r"[^;{}()]*>)",
    re.IGNORECASE,
)
_MARKDOWN = re.compile(r"\s*(?:\*\*[^*]+\*\*|- \[[ xX]\] |\d{1,2}\. [A-Z][a-z]+ |\[[^\]]+\]\(https?:)")
_HEADING = re.compile(r"\s*#{1,6} [A-Za-z]")
_SENTENCE = re.compile(r"\s*[A-Z][a-z']+(?:,? [A-Za-z'\"`-]+){4,}[.:!]$")
_NOT_PYTHON = re.compile(
    r"\s*(?:(?:async )?function\b\s*\w*\s*\(|(?:const|let|var)\s+\w+\s*=|(?:public|private|protected)\s+\w+"
    r"|(?:pub )?fn\s+\w+|func\s+[\w(]|<\?php|\}\s*(?:else|catch)|#include\s*[<\"]|using\s+\w+;|package\s+\w+;)"
)
_NOT_BRACES = re.compile(
    r"\s*(?:(?:async )?def\s+\w+\(.*\)\s*(?:->.*)?:\s*$|elif\b.*:\s*$|from\s+[\w.]+\s+import\s|<\?php"
    r"|import\s+\w+(?:\.\w+)*\s+as\s+\w+\s*$|class\s+\w+(?:\(.*\))?:\s*$|if __name__ ==)"
)
_CODE = frozenset(
    [
        "c",
        "cpp",
        "csharp",
        "dart",
        "go",
        "java",
        "javascript",
        "javascriptreact",
        "php",
        "python",
        "ruby",
        "rust",
        "shellscript",
        "typescript",
        "typescriptreact",
        "kotlin",
        "swift",
        "scala",
        "lua",
    ]
)
_BRACES = frozenset(
    [
        "c",
        "cpp",
        "csharp",
        "dart",
        "go",
        "java",
        "javascript",
        "javascriptreact",
        "rust",
        "typescript",
        "typescriptreact",
        "kotlin",
        "swift",
        "css",
        "json",
    ]
)
_WORD = re.compile(r"\S")


def may_be_wrapped(head: str, language: str) -> bool | None:
    """Whether a text that begins with `head` is chat or a fenced block; None while that is not yet clear."""
    if language in PROSE_LANGUAGES:
        return False
    markers = (FENCE, *_CHAT)
    if head.startswith(markers):
        return True
    return None if any(marker.startswith(head) for marker in markers) else False


def without_token_tail(head: str) -> str | None:
    """`head` without the rest of a control token that it begins with; None while that is not yet clear."""
    for tail in _TOKEN_TAILS:
        if head.startswith(tail):
            return head[len(tail) :]
    return None if any(tail.startswith(head) for tail in _TOKEN_TAILS) else head


def unwrapped(text: str, line_before: str) -> str | None:
    """The first fenced block of a chat answer, fitted to the cursor; None if there is no block yet.

    What the block repeats of the cursor's own line is left out, and the rest is indented as that line is.
    """
    opened = re.search(r"^[ \t]*```[^\n`]*\n", text, re.MULTILINE)
    if not opened:
        return None
    rest = text[opened.end() :]
    end = re.search(r"^[ \t]*```", rest, re.MULTILINE)
    lines = rest[: end.start()].split("\n") if end else rest.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        lines.pop(0)
    if not lines:
        return ""
    first, prefix = lines[0], line_before.strip()
    missing = indent_width(line_before) - indent_width(first)
    repeats = bool(prefix) and first.strip().startswith(prefix)
    if missing > 0 and (repeats or not prefix):
        indent = indent_of(line_before)
        lines[1:] = [indent + line if line.strip() else line for line in lines[1:]]
    lines[0] = first.strip()[len(prefix) :] if repeats else first.strip()
    return "\n".join(lines)


def fence_closed(text: str) -> bool:
    """Whether a fenced block in `text` has its end, on a line that is complete."""
    return len(re.findall(r"^[ \t]*```[^\n]*\n", text, re.MULTILINE)) >= 2


def repeated_start(line_before: str, head: str) -> int | None:
    """How much of `head` repeats the cursor's own line from its beginning; None while that is not yet clear."""
    own = line_before.strip()
    if " " not in own or len(own) < 3:
        return 0
    bare = head.lstrip(" \t")
    if bare.startswith(own):
        # `x = ` is followed by what is not blank: the blank is repeated as well.
        extra = len(line_before) - len(line_before.rstrip())
        skipped = len(head) - len(bare) + len(own)
        return skipped + min(extra, len(head[skipped:]) - len(head[skipped:].lstrip(" ")))
    return None if own.startswith(bare) else 0


def foreign(line: str, language: str) -> bool:
    """Whether a line is plainly not of this language: a tag, a heading, a sentence, a definition of another one."""
    if language in PROSE_LANGUAGES or not line.strip():
        return False
    if language not in _MARKUP and language in _CODE and _TAG.match(line):
        return True
    if language not in _CODE:
        return language in _BRACES and bool(_NOT_BRACES.match(line) or _MARKDOWN.match(line))
    if _MARKDOWN.match(line) or _SENTENCE.match(line):
        return True
    hash_is_code = "#" in "".join(traits_of(language).line_comments) or language in ("c", "cpp", "csharp")
    if not hash_is_code and _HEADING.match(line):
        return True
    if language == "python":
        return bool(_NOT_PYTHON.match(line))
    return language in _BRACES and bool(_NOT_BRACES.match(line))


def indent_unit(lines: Sequence[str]) -> str:
    """What these lines are indented with: "\\t", or the blanks of one level; "" if they do not say."""
    tabs = 0
    steps: dict[int, int] = {}
    before = 0
    for line in lines[-UNIT_LINES_MAX:]:
        text = line.lstrip(" \t")
        if not text or text[0] in "*)]}":
            continue
        indent = indent_of(line)
        tabs += indent.startswith("\t")
        width = indent_width(line)
        if width - before in (2, 3, 4, 8) and not indent.startswith("\t"):
            steps[width - before] = steps.get(width - before, 0) + 1
        before = width
    if tabs:
        return "\t"
    return " " * max(steps, key=lambda step: (steps[step], -step)) if steps else ""


def reindented(text: str, line_before: str, above: Sequence[str], below: Sequence[str], language: str) -> str:
    """`text` with its own unit of indentation replaced by the document's.

    Only whole levels change: what is aligned (arguments under an opening bracket, ` * ` in a doc comment, the lines of
    a string) keeps its distance from the line that it is aligned with.
    """
    lines = text.split("\n")
    if len(lines) < 2:
        return text
    unit = indent_unit([*above, line_before, *below])
    if not unit:
        return text
    traits = traits_of(language)
    base = indent_width(line_before) if line_before.strip() else _base_of(line_before, lines)
    theirs = _unit_of(line_before + lines[0], lines[1:], traits)
    if not theirs or theirs == unit:
        return text
    return "\n".join([lines[0], *_converted(line_before + lines[0], lines[1:], base, theirs, unit, traits)])


def _base_of(line_before: str, lines: Sequence[str]) -> int:
    return indent_width(line_before + lines[0])


def _unit_of(first: str, lines: Sequence[str], traits: Traits) -> str:
    """The unit of a suggestion, from lines that follow the opening of a block; "" if it cannot be told."""
    steps: set[int] = set()
    previous, base_indent = first, indent_of(first)
    for line in lines:
        if not line.strip():
            continue
        if "\t" in indent_of(line).removeprefix(base_indent):
            return "\t"
        step = indent_width(line) - indent_width(previous)
        if step > 0 and opens_block(previous, traits):
            steps.add(step)
        previous = line
    return " " * steps.pop() if len(steps) == 1 and steps <= {2, 4, 8} else ""


def _converted(first: str, lines: Sequence[str], base: int, theirs: str, unit: str, traits: Traits) -> list[str]:
    size = 4 if theirs == "\t" else len(theirs)
    base_indent = indent_of(first)
    shift = ""  # the indentation given to the last line that is not aligned
    shift_from = 0
    result: list[str] = []
    scanner = Scanner(traits)
    scanner.feed(first + "\n")
    aligned_to = _aligned(first, traits)
    for line in lines:
        width = indent_width(line)
        in_text = bool(scanner.quote)
        scanner.feed(line + "\n")
        if not line.strip():
            result.append(line)
            continue
        levels, rest = divmod(width - base, size)
        if (in_text and not line.lstrip().startswith("*")) or levels < 0:
            result.append(line)
        elif (aligned_to and rest) or line.lstrip().startswith("*") or rest:
            result.append((shift or base_indent) + " " * max(0, width - (shift_from or base)) + line.lstrip())
        else:
            shift, shift_from = base_indent + unit * levels, width
            result.append(shift + line.lstrip())
        aligned_to = bool(scanner.stack)
    return result


def _aligned(line: str, traits: Traits) -> bool:
    scanner = scanned(line, traits)
    return bool(scanner.stack) and scanner.last_code not in ("(", "[", "{")
