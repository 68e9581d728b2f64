"""Cuts a file into chunks of whole lines, 500-900 characters each, on its syntax.

A chunk is what search finds and what a prompt quotes, so it should say one thing: a definition that fits stays whole,
a larger one is cut between its members and statements, and small neighbours share a chunk. From the tree come only
places where a chunk may begin (`_Cut`), with how deep in the syntax each is; only nodes that are too large are looked
into, which keeps this to a small part of the time that parsing takes. Where there is no tree, or a node without
structure is too large (a long string), lines are such places, blank lines and little indentation the better ones.

Chunks begin at cuts and end where the next one begins, less blank lines at their edges: nothing is lost or said twice.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from hearth.core.facts import Chunk, Symbol

if TYPE_CHECKING:
    from tree_sitter import Node

CHUNK_BYTES_MIN = 500
CHUNK_BYTES_MAX = 900
PIECE_BYTES_MAX = 1_200
"""A definition that fits keeps its comments up to this size; what is larger is cut between lines."""
TINY_BYTES_MAX = 250
"""What is left over is joined to a neighbour if it is no larger than this."""
INTRODUCTION_BYTES_MAX = 450
"""Comments and heads up to this size stay with what follows them."""
DEPTH_MAX = 60
"""Levels of syntax looked into; what nests deeper is cut between lines."""
INDENT_MAX = 40
WORST_LEVEL = 1_000
NAME_BYTES_MAX = 100
SYMBOL_STEPS_MAX = 8


def _kinds(text: str) -> frozenset[str]:
    """Node types of all grammars."""
    return frozenset(text.split())


_DEFINITIONS = _kinds(
    """
    abstract_class_declaration annotation_type_declaration class class_declaration class_definition class_specifier
    constructor_declaration decorated_definition destructor_declaration enum_declaration enum_item enum_specifier
    export_statement extension_declaration function_declaration function_definition function_item function_signature
    generator_function_declaration impl_item interface_declaration internal_module lexical_declaration
    macro_definition method method_declaration method_definition method_signature mixin_declaration mod_item module
    namespace_declaration namespace_definition record_declaration section singleton_method struct_declaration
    struct_item struct_specifier template_declaration trait_declaration trait_item type_alias_declaration
    type_declaration union_item
    """
)
_BODIES = _kinds(
    """
    annotation_type_body block body_statement class_body compound_statement declaration_list do_group enum_body
    enum_member_declaration_list extension_body field_declaration_list function_body interface_body object_type
    ordered_field_declaration_list statement_block suite enum_variant_list constructor_body match_block switch_body
    """
)
_INTRODUCTIONS = _kinds(
    """
    annotation attribute_item attribute_list block_comment comment decorator documentation_comment
    documentation_block_comment inner_attribute_item line_comment marker_annotation
    """
)
_WITH_HEAD = _DEFINITIONS - {"lexical_declaration", "section"}
_WRAPPERS = frozenset(("decorated_definition", "export_statement", "template_declaration"))
_UNNAMED = frozenset(("lexical_declaration", "section", "type_declaration", "export_statement"))
"""Their name is in their first child."""
_FIELDS_TO_NAME = ("definition", "declaration", "declarator", "type", "heading_content")
_CLOSES = re.compile(rb"[)\]}]|(?:end|fi|done|esac)\b")
_WORD = re.compile(rb"[A-Za-z_]\w*")


class _Cut:
    """A place where a chunk may begin. `level`: how deep in the syntax, lower is better, -1: one must begin here."""

    __slots__ = ("level", "row", "symbol")

    def __init__(self, row: int, level: int, symbol: str) -> None:
        self.row = row
        self.level = level
        self.symbol = symbol


def chunks_of(root: "Node | None", source: bytes, language: str) -> tuple[Chunk, ...]:
    """The chunks of a file in UTF-8, top to bottom. `root`: its tree, None if there is no grammar.

    `language` is its id. The grammars' names for nodes are enough apart that one set of them serves all.
    """
    lines = source.split(b"\n")
    offsets = list(accumulate(map((1).__add__, map(len, lines)), initial=0))
    walk = _Walk(source, lines, offsets)
    if root is not None:
        walk.look_into(root, 1, "", head=False)
    rows = len(lines)
    groups = _joined(_groups(_finer(walk.cuts, lines, offsets), offsets, rows), offsets, rows)
    result: list[Chunk] = []
    for index, group in enumerate(groups):
        end = groups[index + 1][0].row if index + 1 < len(groups) else rows
        if chunk := _chunk(lines, group[0].row, end, _symbol_of(group, offsets, end)):
            result.append(chunk)
    return tuple(result)


def names_in(chunks: Sequence[Chunk], symbols: Iterable[Symbol]) -> list[tuple[str, ...]]:
    """For each chunk the names of the symbols that begin in it, each once. `chunks` from top to bottom."""
    found: list[dict[str, None]] = [{} for _ in chunks]
    ends = [chunk.end for chunk in chunks]
    for symbol in symbols:
        index = bisect_right(ends, symbol.start)
        if index < len(chunks):
            found[index][symbol.name] = None
    return [tuple(names) for names in found]


class _Walk:
    """Collects cuts from the top of a tree."""

    def __init__(self, source: bytes, lines: list[bytes], offsets: list[int]) -> None:
        self.source = source
        self.lines = lines
        self.offsets = offsets
        self.cuts = [_Cut(0, -1, "")]
        self._break = False  # whether a chunk must begin at the next cut: a definition that was cut has ended

    def look_into(self, node: "Node", depth: int, symbol: str, *, head: bool) -> None:
        """Cut a node that is too large between its children. `head`: those before its body stay together."""
        joined = True
        wrapper = node.type in _WRAPPERS  # which has the name of what is in it
        end_row = -1  # of the last introduction
        begun = -1  # the cut at which introductions began
        for child in node.named_children:
            row, column = child.start_point
            kind = child.type
            body = kind in _BODIES
            if 0 <= end_row < row - 1:
                begun = -1
                joined = head
            if not ((joined or body or begun >= 0) and self._introduces(row)):
                self._cut(row, column, depth, symbol)
            large = child.end_byte - child.start_byte > CHUNK_BYTES_MAX
            inner = symbol
            if kind in _DEFINITIONS and not wrapper and (name := _name_of(child, self.source)):
                inner = f"{symbol}.{name}" if symbol else name
                self._defines(inner, begun, alone=large)
            if (large or (body and head)) and depth < DEPTH_MAX:
                self.look_into(child, depth + 1, inner, head=kind in _WITH_HEAD)
                self._break = self._break or inner is not symbol
            if kind in _INTRODUCTIONS:
                end = child.end_point
                end_row = end.row if end.column else end.row - 1
                if begun < 0 and self.cuts[-1].row == row:
                    begun = len(self.cuts) - 1
            else:
                joined = head and not body
                begun = end_row = -1

    def _introduces(self, row: int) -> bool:
        """Whether what is between the last cut and this row is small enough to stay with what begins here."""
        return self.offsets[min(row, len(self.lines))] - self.offsets[self.cuts[-1].row] <= INTRODUCTION_BYTES_MAX

    def _cut(self, row: int, column: int, level: int, symbol: str) -> None:
        if row > self.cuts[-1].row and (not column or not self.lines[row][:column].strip()):
            self.cuts.append(_Cut(row, -1 if self._break else level, symbol))
            self._break = False

    def _defines(self, symbol: str, begun: int, *, alone: bool) -> None:
        """A definition begins in the piece at hand, its introduction at cut number `begun` if that is not negative."""
        begun = begun if begun >= 0 else len(self.cuts) - 1
        for cut in self.cuts[begun:]:
            cut.symbol = symbol
        for cut in self.cuts[begun + 1 :]:
            cut.level = WORST_LEVEL  # what is large is cut anywhere rather than between it and its comment
        if alone:
            self.cuts[begun].level = -1


def _name_of(node: "Node", source: bytes) -> str:
    """The name of a definition as written, "" if it has none (or none that is short and on one line)."""
    found = node
    for _ in range(SYMBOL_STEPS_MAX):
        inner = found.child_by_field_name("name") if found.type != "qualified_identifier" else None
        if inner is not None:
            found = inner
            break
        inner = next((part for field in _FIELDS_TO_NAME if (part := found.child_by_field_name(field))), None)
        if inner is None and found.type in _UNNAMED:
            inner = found.named_children[0] if found.named_child_count else None
        if inner is None or found.type == "qualified_identifier":
            break
        found = inner
    if found is node:
        return ""
    name = source[found.start_byte : found.end_byte].strip()
    if not name or len(name) > NAME_BYTES_MAX or b"\n" in name or name[:1] in (b"{", b"["):
        return ""
    if node.type == "method_declaration" and (receiver := node.child_by_field_name("receiver")):
        words = _WORD.findall(source[receiver.start_byte : receiver.end_byte])
        if words:
            name = words[min(1, len(words) - 1)] + b"." + name
    return name.replace(b"::", b".").decode("utf-8", "replace")


def _finer(cuts: list[_Cut], lines: list[bytes], offsets: list[int]) -> list[_Cut]:
    """The same, with pieces that are too large cut between lines."""
    result: list[_Cut] = []
    end_row = len(lines)
    for index, cut in enumerate(cuts):
        result.append(cut)
        end = cuts[index + 1].row if index + 1 < len(cuts) else end_row
        if offsets[end] - offsets[cut.row] > PIECE_BYTES_MAX:
            after_blank = False
            for row in range(cut.row, end):
                line = lines[row]
                body = line.lstrip()
                if not body:
                    after_blank = True
                    continue
                if row > cut.row:
                    level = DEPTH_MAX + 2 * min(len(line) - len(body), INDENT_MAX) + (not after_blank)
                    closes = not after_blank and _CLOSES.match(body)
                    result.append(_Cut(row, WORST_LEVEL if closes else level, cut.symbol))
                after_blank = False
    return result


def _groups(cuts: list[_Cut], offsets: list[int], end_row: int) -> list[list[_Cut]]:
    """The cuts of each chunk: as full as fits, and cut where the syntax is shallowest."""
    rows = [cut.row for cut in cuts]
    rows.append(end_row)
    sizes = [offsets[row] for row in rows]
    groups: list[list[_Cut]] = []
    start, total = 0, len(cuts)
    while start < total:
        stop = start + 1
        while stop < total and cuts[stop].level >= 0 and sizes[stop + 1] - sizes[start] <= CHUNK_BYTES_MAX:
            stop += 1
        if stop < total and cuts[stop].level >= 0 and stop > start + 1:
            stop = _best(cuts, sizes, start, stop)
        groups.append(cuts[start:stop])
        start = stop
    return groups


def _best(cuts: list[_Cut], sizes: list[int], start: int, stop: int) -> int:
    """Where the chunk from `start` ends best, at `stop` at the latest: at the shallowest cut, the latest of these."""
    base = sizes[start]
    found, level = stop, cuts[stop].level
    for index in range(stop - 1, start, -1):
        if sizes[index] - base < CHUNK_BYTES_MIN:
            break
        if cuts[index].level < level:
            found, level = index, cuts[index].level
    return found


def _joined(groups: list[list[_Cut]], offsets: list[int], end_row: int) -> list[list[_Cut]]:
    """The same, with what is tiny joined to a neighbour that has room and is no part of another definition."""
    result: list[list[_Cut]] = []
    for index, group in enumerate(groups):
        end = groups[index + 1][0].row if index + 1 < len(groups) else end_row
        if result:
            before = result[-1]
            size, size_before = offsets[end] - offsets[group[0].row], offsets[group[0].row] - offsets[before[0].row]
            small = min(size, size_before) <= TINY_BYTES_MAX and size + size_before <= CHUNK_BYTES_MAX
            if small and _related(before[-1].symbol, group[0].symbol):
                before.extend(group)
                continue
        result.append(group)
    return result


def _related(one: str, other: str) -> bool:
    """Whether one of two definitions is part of the other; what is in none is related to all."""
    return not one or not other or f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _chunk(lines: list[bytes], start: int, end: int, symbol: str) -> Chunk | None:
    """The chunk of these rows without blank lines at its edges, None if all are blank."""
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    if start == end:
        return None
    text = b"\n".join(lines[start:end]).decode("utf-8", "replace") + "\n"
    return Chunk(start, end, text.replace("\r\n", "\n"), symbol)


def _symbol_of(group: list[_Cut], offsets: list[int], end: int) -> str:
    """The definition that most of a chunk is, else the one that all of it is in."""
    if len(group) == 1:
        return group[0].symbol
    most = (offsets[end] - offsets[group[0].row]) / 2
    for index, cut in enumerate(group):
        stop = group[index + 1].row if index + 1 < len(group) else end
        if cut.symbol and offsets[stop] - offsets[cut.row] > most:
            return cut.symbol
    parts = [cut.symbol.split(".") for cut in group]
    shared = 0
    for names in zip(*parts, strict=False):
        if len(set(names)) > 1:
            break
        shared += 1
    return ".".join(parts[0][:shared])
