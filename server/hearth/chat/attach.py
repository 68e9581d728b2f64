"""What the @mentions of a question bring along, each piece with its origins, within what the model has room for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hearth.chat.desk import Desk
from hearth.core.chat import WIDE, scope_of, symbols_in
from hearth.core.chat_prompt import attached, outline
from hearth.core.conversation import tokens_about
from hearth.core.deny import is_secret
from hearth.core.exchange import Part
from hearth.core.grammars import language_of
from hearth.core.mentions import Mention, parse
from hearth.core.origin import USER, Origin, file_origin, tool_origin
from hearth.core.text import Range, Snapshot
from hearth.errors import HearthError

SEARCH_HITS_MAX = 8
SYMBOL_PLACES_MAX = 3
MAP_TOKENS_MAX = 1_000
MAP_SHARE = 6
"""The project's map takes at most one part in so many of the room."""
FOLDER_FILES_MAX = 60
FOLDER_OUTLINE_CHARS_MAX = 1_500
DIAGNOSTICS_MAX = 60
DIFF_FILES_MAX = 60
DIFF_FILE_CHARS_MAX = 12_000
WEB_PAGES_MAX = 6
WEB_TEXT_CHARS_MAX = 1_500
CANDIDATES_SHOWN_MAX = 3
GATHERED = frozenset(("folder", "codebase", "diagnostics", "git"))
"""What brings along files that the user did not name."""
_MAP_SECTION = re.compile(r"(?m)^(?=\S[^\n]*:$)")
_DIFF = re.compile(r"(?m)^diff --git ")
_DIFF_PATH = re.compile(r"(?m)^(?:\+\+\+|---) (?:\"?[ab]/(.*?)\"?)[\t\r]?$")


@dataclass(slots=True)
class Attached:
    """`parts` in the order of the question. `flags`: sentences for the user: what was left out, and why."""

    parts: list[Part] = field(default_factory=list[Part])
    flags: list[str] = field(default_factory=list[str])


async def attach(
    question: str, desk: Desk, uri: str, selection: Range | None, room_tokens: int, *, away: bool = False
) -> Attached:
    """The pieces for a question's mentions. A piece that no longer fits is left out whole and named. Never raises but
    CancelledError: what is not found is a flag.

    `away`: the cloud would be asked first. What must not go there is then left out, unless the user named it; else it
    is said that it keeps the question here."""
    found = Attached()
    parsed = parse(question)
    found.flags += [one.problem for one in parsed.unknown]
    words = _without(question, parsed.mentions)
    gather = _Gathering(desk, uri, selection, words, found.flags, room_tokens, away)
    left = room_tokens
    for mention in parsed.mentions:
        try:
            pieces = await _leaving(await gather.of(mention), mention, desk, found.flags, away=away)
        except HearthError as error:
            found.flags.append(f"{mention.text}: {error.message} {error.remedy}".rstrip())
            continue
        for number, piece in enumerate(pieces):
            size = tokens_about(piece.text)
            if size > left:
                rest = f" and {len(pieces) - number - 1} more pieces" if len(pieces) - number > 1 else ""
                found.flags.append(
                    f"{mention.text}: {piece.origins[0].label}{rest} left out; the model has room for {max(0, left)} "
                    f"more tokens, and that takes about {size}."
                )
                break
            left -= size
            found.parts.append(piece)
    return found


async def _leaving(pieces: list[Part], mention: Mention, desk: Desk, flags: list[str], *, away: bool) -> list[Part]:
    """The pieces that may go where the question goes. What the user named goes nowhere else than it may."""
    why = {number: reason for number, one in enumerate(pieces) if (reason := await desk.stays(one.origins))}
    if not why:
        return pieces
    origins = dict.fromkeys(origin for number in why for origin in pieces[number].origins)
    labels = [one.path or one.label for one in origins if await desk.stays((one,))]
    labels = list(dict.fromkeys(labels)) or [pieces[number].origins[0].label for number in why]
    more = f" and {len(labels) - CANDIDATES_SHOWN_MAX} more" if len(labels) > CANDIDATES_SHOWN_MAX else ""
    listed, reason = ", ".join(labels[:CANDIDATES_SHOWN_MAX]) + more, next(iter(why.values()))
    if not away or mention.kind not in GATHERED:
        flags.append(f"{mention.text}: with {listed} this question is not for the cloud: {reason}.")
        return pieces
    flags.append(f"{mention.text}: {listed} left out, since the cloud is asked: {reason}.")
    return [one for number, one in enumerate(pieces) if number not in why]


def _without(question: str, mentions: Sequence[Mention]) -> str:
    """The words of a question, without its mentions: what is searched for."""
    text = question
    for one in sorted(mentions, key=lambda mention: -mention.start):
        text = text[: one.start] + " " + text[one.end :]
    return " ".join(text.split())


@dataclass(slots=True)
class _Gathering:
    desk: Desk
    uri: str
    selection: Range | None
    words: str
    flags: list[str]
    room: int
    away: bool

    async def of(self, mention: Mention) -> list[Part]:
        match mention.kind:
            case "file":
                return await self._file(mention)
            case "folder":
                return await self._folder(mention.argument)
            case "symbol":
                return await self._symbol(mention.argument)
            case "codebase":
                return await self._codebase()
            case "diagnostics":
                return await self._diagnostics()
            case "git":
                return await self._git()
            case "selection":
                return await self._selection()
            case "web":
                return await self._web()

    async def _file(self, mention: Mention) -> list[Part]:
        folder, path = await self._found(mention.argument)
        snapshot = await self.desk.snapshot(self.desk.uri(folder, path))
        start, end = mention.lines or (0, len(snapshot.lines))
        if start >= len(snapshot.lines):
            raise HearthError(f"{path} has only {len(snapshot.lines)} lines.")
        return [self._lines(folder, path, snapshot, start, end, whole=mention.lines is None)]

    async def _found(self, argument: str) -> tuple[str, str]:
        """(folder, path) of what the user calls so: the path itself, else the one path that ends so."""
        wanted = argument.replace("\\", "/").removeprefix("./")
        candidates: list[tuple[str, str]] = []
        for folder in self.desk.folders:
            if wanted.startswith(folder.replace("\\", "/").rstrip("/") + "/"):
                wanted = wanted[len(folder.rstrip("/")) + 1 :]
            files = await self.desk.files(folder)
            if wanted in files:
                return folder, wanted
            candidates += [(folder, path) for path in files if path.casefold().endswith("/" + wanted.casefold())]
            candidates += [(folder, path) for path in files if path.casefold() == wanted.casefold()]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            names = ", ".join(path for _, path in candidates[:CANDIDATES_SHOWN_MAX])
            raise HearthError(f"there are {len(candidates)} files of that name: {names}.", "Give more of the path.")
        raise HearthError(
            "there is no such file in the workspace, or nothing may read it.",
            "Paths are relative to the workspace folder.",
        )

    async def _folder(self, argument: str) -> list[Part]:
        wanted = argument.replace("\\", "/").strip("/").removeprefix("./")
        for folder in self.desk.folders:
            inside = [p for p in await self.desk.files(folder) if wanted in ("", ".") or p.startswith(wanted + "/")]
            if not inside:
                continue
            if len(inside) > FOLDER_FILES_MAX:
                self.flags.append(f"@folder:{argument}: only {FOLDER_FILES_MAX} of its {len(inside)} files were used.")
            parts: list[Part] = []
            for path in inside[:FOLDER_FILES_MAX]:
                try:
                    snapshot = await self.desk.snapshot(self.desk.uri(folder, path))
                except HearthError:
                    continue
                text = (
                    outline(path, symbols_in(snapshot), FOLDER_OUTLINE_CHARS_MAX) or f"({len(snapshot.lines)} lines)\n"
                )
                parts.append(attached(path, text, snapshot.language, (file_origin(folder, path),), self.flags))
            return parts
        raise HearthError("there is no such folder in the workspace, or nothing of it may be read.")

    async def _symbol(self, name: str) -> list[Part]:
        parts: list[Part] = []
        seen: set[tuple[str, int]] = set()
        looked: set[tuple[str, str]] = set()
        for uri in dict.fromkeys([self.uri] if self.uri else []):
            parts += self._defined(name, await self.desk.snapshot(uri), *self.desk.place(uri), seen)
        if not parts:
            for hit in await self.desk.search(name, SEARCH_HITS_MAX * 2):
                if len(parts) >= SYMBOL_PLACES_MAX or (hit.folder, hit.path) in looked:
                    continue
                looked.add((hit.folder, hit.path))
                try:
                    snapshot = await self.desk.snapshot(self.desk.uri(hit.folder, hit.path))
                except HearthError:
                    continue
                parts += self._defined(name, snapshot, hit.folder, hit.path, seen)
        if not parts:
            raise HearthError(f"nothing in the project is called {name}.")
        return parts[:SYMBOL_PLACES_MAX]

    def _defined(self, name: str, snapshot: Snapshot, folder: str, path: str, seen: set[tuple[str, int]]) -> list[Part]:
        """The definitions of a name in a document."""
        parts: list[Part] = []
        for one in symbols_in(snapshot):
            full = f"{one.container}.{one.name}" if one.container else one.name
            shown = one.kind in WIDE or one.kind in ("constant", "variable")
            if shown and _names(full, name) and (path, one.start) not in seen:
                seen.add((path, one.start))
                parts.append(self._lines(folder, path, snapshot, one.start, one.end))
        return parts

    async def _codebase(self) -> list[Part]:
        if not self.words:
            raise HearthError("there are no words to search for.", "Ask a question beside it.")
        hits = await self.desk.search(self.words, SEARCH_HITS_MAX)
        if not hits:
            raise HearthError("search found nothing.")
        return await self._maps() + [
            attached(
                f"{hit.path}, lines {hit.start + 1}-{hit.end}", hit.text, language_of(hit.path),
                (file_origin(hit.folder, hit.path, hit.start, hit.end),), self.flags,
            )
            for hit in hits
        ]  # fmt: skip

    async def _maps(self) -> list[Part]:
        """Of each folder what matters most. Its origins are the files that it names."""
        parts: list[Part] = []
        for folder in self.desk.folders:
            try:
                text = await self.desk.map(folder, min(MAP_TOKENS_MAX, self.room // MAP_SHARE), self.words.split())
            except HearthError:
                continue  # what search found is there all the same
            sections = [one for one in _MAP_SECTION.split(text) if one.partition("\n")[0].endswith(":")]
            if self.away:
                sections = [one for one in sections if not await self.desk.stays((file_origin(folder, _path_of(one)),))]
            paths, text = [_path_of(one) for one in sections], "".join(sections)
            if paths:
                origins = tuple(file_origin(folder, path) for path in paths)
                parts.append(attached("What matters most in the project", text, "", origins, self.flags))
        return parts

    async def _diagnostics(self) -> list[Part]:
        parts: list[Part] = []
        left = DIAGNOSTICS_MAX
        for uri in self.desk.diagnosed():
            said = sorted(self.desk.diagnostics(uri), key=lambda one: (one.severity != "error", one.line))[:left]
            folder, path = self.desk.place(uri)
            if not said or not path or is_secret(path):
                continue
            left -= len(said)
            lines = [f"line {one.line + 1}, {one.severity}: {' '.join(one.message.split())}" for one in said]
            origins = (tool_origin("diagnostics"), file_origin(folder, path))
            parts.append(attached(f"What the editor's tools say of {path}", "\n".join(lines), "", origins, self.flags))
        if not parts:
            raise HearthError("the editor's tools have nothing to say about the open files.")
        return parts

    async def _git(self) -> list[Part]:
        parts: list[Part] = []
        for folder in self.desk.folders:
            diff = await self.desk.git_diff(folder)
            starts = [found.start() for found in _DIFF.finditer(diff)]
            pieces = [diff[a:b] for a, b in zip(starts, [*starts[1:], len(diff)], strict=True)]
            for piece in pieces[:DIFF_FILES_MAX]:
                paths = [path for path in dict.fromkeys(_DIFF_PATH.findall(piece)) if path]
                if not paths or any(is_secret(path) or not self.desk.allows(folder, path) for path in paths):
                    continue  # a binary file, or one of which nothing may be shown
                origins: tuple[Origin, ...] = (tool_origin("git"), *(file_origin(folder, path) for path in paths))
                if len(piece) > DIFF_FILE_CHARS_MAX:
                    piece = piece[: piece.rfind("\n", 0, DIFF_FILE_CHARS_MAX) + 1]
                    self.flags.append(f"@git: the changes of {paths[-1]} are long; only their beginning was used.")
                parts.append(
                    attached(f"Changes of {paths[-1]} since the last commit", piece, "diff", origins, self.flags)
                )
        if not parts:
            raise HearthError("nothing changed since the last commit.")
        return parts

    async def _selection(self) -> list[Part]:
        if not self.uri or self.selection is None or self.selection.start == self.selection.end:
            raise HearthError("nothing is selected.")
        snapshot = await self.desk.snapshot(self.uri)
        scope = scope_of(snapshot, self.selection)
        return [self._lines(*self.desk.place(self.uri), snapshot, scope.start, scope.end)]

    async def _web(self) -> list[Part]:
        if not self.words:
            raise HearthError("there are no words to search for.", "Ask a question beside it.")
        pages = await self.desk.web(self.words)
        if not pages:
            raise HearthError("your search engine found nothing.")
        origins = (tool_origin("web"), USER)
        return [
            attached(f"{page.title} ({page.url})", page.text[:WEB_TEXT_CHARS_MAX], "", origins, self.flags)
            for page in pages[:WEB_PAGES_MAX]
        ]

    def _lines(self, folder: str, path: str, snapshot: Snapshot, start: int, end: int, *, whole: bool = False) -> Part:
        end = min(end, len(snapshot.lines))
        text = "".join(snapshot.lines[start:end])
        name = path or "an unsaved document"
        title = name if whole else f"{name}, lines {start + 1}-{end}"
        origin = file_origin(folder, path) if whole else file_origin(folder, path, start, end)
        return attached(title, text, snapshot.language, (origin,), self.flags)


def _path_of(section: str) -> str:
    return section.partition("\n")[0][:-1]


def _names(symbol: str, wanted: str) -> bool:
    """Whether a symbol with its containers is what the user calls `wanted`."""
    return symbol == wanted or symbol.endswith((f".{wanted}", f"::{wanted}"))
