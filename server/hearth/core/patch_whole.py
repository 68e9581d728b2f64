"""Answers that hold a whole file or a whole symbol: which of their code is meant, and what of the file it becomes."""

from collections.abc import Sequence

from hearth.core.facts import Symbol
from hearth.core.patch_answer import OUTPUT, Section, comment_path, compatible, language_named
from hearth.core.patch_base import Refused, Target
from hearth.core.patch_lines import changes
from hearth.core.patch_match import margin_of, unit_shift
from hearth.core.patch_paths import Paths
from hearth.core.patch_syntax import PIECE, Outlined, outlined, parses
from hearth.core.patch_text import (
    UNIT_DEFAULT,
    Item,
    Piece,
    Shift,
    Text,
    Unit,
    columns_of,
    indent_of,
    is_blank,
    shifted,
    trimmed,
    unit_of,
)

PARTIAL_DEFINITIONS_MIN = 3
"""Of a file with so many definitions, an answer with less than half of them, and of the lines, is a part."""
_MARKS = ("@", "#", "[", "/", "*")
"""Decorators, attributes and comments begin so."""
OUTSIDE_SHARE = 0.8
"""An answer with so much of what stands around a symbol is the whole file."""
REINDENTED_MIN = 3
BARE_CHARS_MAX = 50_000
"""Longer answers without a fence, of which the file has little, are not looked at for code."""
KNOWN_SHARE = 0.3
"""Code without a fence is told from prose by how many of its lines the file has already."""
HOISTED = frozenset({"python", "javascript", "javascriptreact", "typescript", "typescriptreact", "java", "rust", "c",
                     "cpp", "csharp", "php", "dart"})  # fmt: skip
"""Languages in which an import is a line of its own."""


def bare_code(lines: Sequence[str], target: Target) -> list[str] | None:
    """The whole answer as code, where it is code without any fence; None where it is prose."""
    code = trimmed(lines)
    text = target.text or ""
    language = target.tongue
    if not code:
        return None
    own = {line.strip() for line in text.split("\n") if line.strip()}
    solid = [line.strip() for line in code if line.strip()]
    shared = sum(line in own for line in solid) / len(solid)
    if shared < KNOWN_SHARE and sum(map(len, code)) > BARE_CHARS_MAX:
        return None
    parsed = parses(language, "\n".join(code) + "\n", PIECE)
    if parsed is None:
        first = next((line.strip() for line in text.split("\n") if line.strip()), "")
        headed = language == "markdown" and solid[0].startswith("# ") and first.startswith("# ")
        return code if headed or solid[0] == first or shared >= 2 * KNOWN_SHARE else None
    if not parsed and not shared >= 2 * KNOWN_SHARE:
        return None
    if shared >= KNOWN_SHARE:
        return code
    return code if outlined(language, "\n".join(code), PIECE).symbols else None


def chosen(found: Sequence[Section], target: Target, paths: Paths, *, symbol: bool) -> Section:
    """The one section that is the answer for the only target. Raises Refused."""
    named = [one for one in found if not one.path or paths.resolve(one.path).path == target.path]
    own = [one for one in named if any(not is_blank(line) for line in one.lines)]
    if not own:
        raise Refused("nothing", "The answer holds no code.", "Your code block is empty. Write the code.")
    language = target.tongue
    fitting = [one for one in own if compatible(one.info, language)]
    if not fitting:
        other = language_named(own[0].info)
        if len(own) == 1 or other not in OUTPUT:
            raise Refused(
                "language",
                f"The answer is {other} where {target.path} is {language}.",
                f"{target.path} is written in {language}; your code block says {own[0].info}. Answer in {language}.",
                target.path,
            )
    if len(fitting) > 1:
        fitting = [one for one in fitting if one.info not in OUTPUT or language_named(one.info) == language] or fitting
    same = {tuple(trimmed(one.lines)) for one in fitting}
    if len(same) > 1:
        fitting = _likely(fitting, target, symbol=symbol)
    if not fitting or (len(fitting) > 1 and len(same) > 1):
        raise Refused(
            "several",
            "The answer holds several pieces of code, and it is not clear which is meant.",
            "Answer with exactly one code block, which holds "
            + ("the whole new text of the symbol." if symbol else f"the whole new text of {target.path}."),
            target.path,
        )
    return fitting[0]


def _likely(found: Sequence[Section], target: Target, *, symbol: bool) -> list[Section]:
    """Those sections that hold what is asked for."""
    if target.text is None:
        return list(found)
    heads = {one.name for one in heads_of(target, Text.of(target.text))[1]} if symbol else set[str]()
    if heads:
        return [
            one
            for one in found
            if heads & {s.name for s in outlined(target.tongue, "\n".join(one.lines), PIECE).symbols}
        ]
    whole = [line.strip() for line in target.text.split("\n") if line.strip()]
    if symbol or not whole:
        return list(found)
    return [one for one in found if sum(line in {x.strip() for x in one.lines} for line in whole) * 2 >= len(whole)]


def heads_of(target: Target, text: Text) -> tuple[Outlined, list[Symbol]]:
    """What a file defines, and the outermost definitions within the target's span."""
    start, end = span_of(target, text)
    whole = outlined(target.tongue, "\n".join(text.lines) + "\n")
    within = [one for one in whole.symbols if one.end <= end and _begins(one, text.lines, start)]
    depth = min((one.container.count(".") if one.container else -1 for one in within), default=0)
    return whole, [one for one in within if (one.container.count(".") if one.container else -1) == depth]


def _begins(symbol: Symbol, lines: Sequence[str], start: int) -> bool:
    """Whether a definition begins within a span, or right above it with no more than decorators and comments."""
    if symbol.start >= start:
        return True
    return symbol.end > start and all(line.lstrip().startswith(_MARKS) for line in lines[symbol.start : start])


def span_of(target: Target, text: Text) -> tuple[int, int]:
    """The target's span within the text, without blank lines at its ends."""
    start, end = target.span or (0, len(text.lines))
    start = max(0, min(start, len(text.lines)))
    end = max(start, min(end, len(text.lines)))
    while start < end and is_blank(text.lines[start]):
        start += 1
    while end > start and is_blank(text.lines[end - 1]):
        end -= 1
    return start, end


def without_path(section: Section, target: Target, paths: Paths) -> list[str]:
    """The section's code, without a first line that is only the file's path (if the file has none)."""
    told = comment_path(section, paths)
    known = told and paths.known(told)
    first = (target.text or "").removeprefix("\ufeff").partition("\n")[0].rstrip("\r")
    return section.lines[1:] if known and known.path == target.path and section.lines[0] != first else section.lines


def file_pieces(target: Target, text: Text, code: Sequence[str]) -> list[Piece]:
    """The pieces that make the file what `code` is. Raises Refused ("partial")."""
    new = _edges(code, text.lines)
    _check_whole(target, text, new)
    return pieces_of(text.lines, _in_unit(new, text), 0)


def _in_unit(new: list[str], text: Text) -> list[str]:
    """The lines in the file's unit of indentation; as they are if another unit is all that they change."""
    shift, theirs = unit_shift(new, text, ()), unit_of(new)
    if shift:
        moved = [shifted(line, shift) for line in new]
    elif theirs and text.unit and theirs != text.unit and not theirs.tab and not text.unit.tab:
        moved = [shifted(line, Shift(theirs, text.unit, 0)) for line in new]
        # Two numbers of spaces are told apart by lines that are the same but for that.
        known, deep = set(text.lines), [line for line in moved if line[:1] == " "]
        if len(deep) < REINDENTED_MIN or 2 * sum(line in known for line in deep) < len(deep):
            return new
    else:
        return new
    return new if moved == list(text.lines) else moved


def pieces_of(old: Sequence[str], new: Sequence[str], offset: int) -> list[Piece]:
    """Changes of lines as pieces; the old ones begin at line `offset` of the file."""
    return [
        Piece(offset + one.start, offset + one.end, tuple(new[one.new_start : one.new_end]))
        for one in changes(old, new)
    ]


def _edges(code: Sequence[str], old: Sequence[str]) -> list[str]:
    """Without blank lines at the ends that the file has not."""
    new = list(code)
    while len(new) > 1 and is_blank(new[-1]) and not (old and is_blank(old[-1])):
        new.pop()
    first = 0
    while first < len(new) - 1 and is_blank(new[first]) and not (old and is_blank(old[0])):
        first += 1
    return new[first:]


def _check_whole(target: Target, text: Text, new: Sequence[str]) -> None:
    if 2 * len(new) >= len(text.lines):
        return
    before = {one.name for one in outlined(target.tongue, "\n".join(text.lines) + "\n").symbols if not one.container}
    after = {one.name for one in outlined(target.tongue, "\n".join(new) + "\n").symbols}
    if len(before) >= PARTIAL_DEFINITIONS_MIN and 2 * len(before & after) < len(before):
        missing = sorted(before - after)
        raise Refused(
            "partial",
            f"The answer holds only a part of {target.path}.",
            f"Write the whole of {target.path}: {', '.join(missing[:8])} and what else stays must be there too.",
            target.path,
        )


def _better(new: list[str], converted: list[str], old: Sequence[str]) -> list[str]:
    """Whichever of two forms has more lines in common with the file."""
    known = set(old)
    return converted if sum(x in known for x in converted) > sum(x in known for x in new) else new


def symbol_pieces(target: Target, text: Text, code: Sequence[str]) -> list[Piece]:
    """The pieces that replace the target's span by `code`, or the file where that is all of it. Raises Refused."""
    start, end = span_of(target, text)
    new = trimmed(code)
    outside = [line.strip() for line in (*text.lines[:start], *text.lines[end:]) if line.strip()]
    answered = {line.strip() for line in new}
    if len(outside) > 1 and sum(line in answered for line in outside) >= OUTSIDE_SHARE * len(outside):
        return file_pieces(target, text, new)
    imports: list[str] = []
    if heads_of(target, text)[1]:
        new, imports = apart(target.tongue, new)
    return import_pieces(target, text, span_pieces(target, text, new), imports, start)


def span_pieces(target: Target, text: Text, new: list[str]) -> list[Piece]:
    """The pieces that replace the target's span by `new`, which has no imports of its own. Raises Refused."""
    start, end = span_of(target, text)
    heads = heads_of(target, text)[1]
    if heads:
        new = _alone(target, heads, new)
    new = _without_above(new, text.lines, start, end)
    region = text.lines[start:end]
    return pieces_of(region, _indented(new, region, text), start)


def import_pieces(target: Target, text: Text, pieces: list[Piece], imports: Sequence[str], start: int) -> list[Piece]:
    """The pieces, the first of which is at line `start` or below, and those that add imports the file does not have."""
    known = {line.strip() for line in text.lines}
    fresh = [line for line in imports if line.strip() not in known]
    if not fresh:
        return pieces
    at = _after_imports(target.tongue, text, start)
    return _merged(pieces, start, fresh, text) if at is None else [Piece(at, at, tuple(fresh)), *pieces]


def _merged(pieces: list[Piece], start: int, fresh: list[str], text: Text) -> list[Piece]:
    """New imports where there were none: at the head of what is replaced."""
    items: tuple[Item, ...] = (*fresh, "")
    if pieces and pieces[0].start == start:
        first = pieces[0]
        return [Piece(first.start, first.end, (*items, *first.items)), *pieces[1:]]
    return [Piece(start, start, items), *pieces]


def _alone(target: Target, heads: Sequence[Symbol], new: list[str]) -> list[str]:
    """The code without the class around it, which a model may add to a method. Raises Refused."""
    names = {one.name for one in heads}
    found = outlined(target.tongue, "\n".join(new) + "\n", PIECE).symbols
    wanted = " and ".join(sorted(names)[:4])
    if not found:
        if parses(target.tongue, "\n".join(new) + "\n", PIECE) is not False or not _mentions(new, names):
            raise Refused(
                "partial",
                f"The answer does not hold the whole of {wanted}.",
                f"Answer with the whole new text of {wanted}, from its first line to its last, and nothing else.",
                target.path,
            )
        return new  # a method that does not parse outside of its class
    container = heads[0].container.rpartition(".")[2]
    outer = [one for one in found if not one.container]
    if not container or len(outer) != 1 or outer[0].name != container or container in names:
        return new
    inner = [one for one in found if one.container.rpartition(".")[2] == container]
    if not inner or {one.name for one in inner} != names:
        raise Refused(
            "several",
            f"The answer holds more of {container} than {wanted}.",
            f"Answer with {wanted} alone, without the class around it.",
            target.path,
        )
    return new[min(one.start for one in inner) : max(one.end for one in inner)]


def _mentions(lines: Sequence[str], names: set[str]) -> bool:
    return any(name in line for name in names for line in lines)


def apart(language: str, new: list[str]) -> tuple[list[str], list[str]]:
    """The code without the imports before it, and those; as it is where they are not single lines."""
    seen = outlined(language, "\n".join(new) + "\n", PIECE)
    first = min((one.start for one in seen.symbols), default=0)
    head = [n for n in range(first) if not is_blank(new[n])]
    lines = [n for n in seen.imports if n < first]
    if language not in HOISTED or not lines or lines[-1] not in head:
        return new, []
    # What stands between the imports and the definition (a comment, a decorator) belongs to the definition.
    before = [n for n in head if n <= lines[-1]]
    if before != lines or any(new[n][:1].isspace() for n in lines):
        return new, []
    return trimmed(new[lines[-1] + 1 :]), [new[n] for n in lines]


def _after_imports(language: str, text: Text, limit: int) -> int | None:
    """The line behind the last import of a file that stands above a line and is not indented; None without any."""
    whole = outlined(language, "\n".join(text.lines) + "\n")
    above = [n for n in whole.imports if n < limit and not text.lines[n][:1].isspace()]
    if not above:
        return None
    at, depth = above[-1], 0
    while at < limit:
        depth += sum(text.lines[at].count(mark) for mark in "({[") - sum(text.lines[at].count(mark) for mark in ")}]")
        at += 1
        if depth <= 0:
            break
    return at


def _without_above(new: list[str], lines: Sequence[str], start: int, end: int) -> list[str]:
    """Without the lines right above the span (a decorator, a comment), which a model may repeat."""
    first = lines[start].strip() if start < end else ""
    for count in range(min(len(new) - 1, start), 0, -1):
        same = [line.strip() for line in lines[start - count : start]]
        if same == [line.strip() for line in new[:count]] and same[0] and first not in same:
            return trimmed(new[count:])
    return new


def _indented(new: list[str], region: Sequence[str], text: Text) -> list[str]:
    """The code as deep as what it replaces, in the file's unit."""
    own = text.unit or Unit(False, UNIT_DEFAULT)
    shift = unit_shift(new, text, region)
    if shift is None:
        theirs = unit_of(new)
        if theirs and not theirs.tab and not own.tab and theirs.columns != own.columns:
            straight, other = (_moved(new, region, Shift(source, own, 0)) for source in (None, theirs))
            return _better(straight, other, region)
        shift = Shift(None, own, 0)
    elif not shift.target.tab or not any(line.startswith(" ") for line in new[:1]):
        theirs = unit_of(new)
        shift = shift._replace(source=theirs or shift.source)
    return _moved(new, region, shift)


def _moved(new: Sequence[str], region: Sequence[str], shift: Shift) -> list[str]:
    """The code with its first line as deep as the first one replaced, all others by as much."""
    first = next((line for line in region if not is_blank(line)), "")
    begun = next((shifted(line, shift) for line in new if not is_blank(line)), "")
    shift = shift._replace(columns=columns_of(indent_of(first)) - columns_of(indent_of(begun)))
    if shift.source is None and not shift.columns:
        return list(new)
    margin = margin_of(region)
    return [line if line in margin else shifted(line, shift) for line in new]
