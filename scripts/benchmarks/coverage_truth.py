"""The truth about a package for coverage.py: what its files define and use, positions drawn from them, and scores."""

import ast
import builtins
import io
import keyword
import random
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import copying

from hearth.core.grammars import grammar_for, language_of, parser

SEED = 20_26
POSITIONS_PER_PACKAGE = 60
FOLDERS = {"zod": "src/", "rxjs": "src/"}
"""What is a package's source; the rest of these archives is made from it."""
WORD = re.compile(r"(?:[^\W\d]|\$(?=\w))[\w$]*")
CUT = re.compile(r"[.(]|(?<![=!<>])=(?!=)\s?")
SQUEEZED = re.compile(r"\s+")
MODIFIERS = re.compile(
    r"^(?:(?:self|cls)\.|@[\w.]+ |"
    r"(?:export|default|declare|async|public|private|protected|static|readonly|abstract|override) )+"
)
HEAD_CHARS = 24
SCRIPT_WORDS = """
    abstract any as async await boolean break case catch class const continue debugger declare default delete do else
    enum export extends false finally for from function get global if implements import in infer instanceof interface is
    keyof let module namespace never new null number object of override package private protected public readonly
    require return satisfies set static string super switch symbol this throw true try type typeof undefined unique
    unknown var void while with yield Array ArrayBuffer BigInt Boolean DataView Date Error Function Infinity Iterable
    Iterator JSON Map Math NaN Number Object Partial Pick Omit Promise Proxy Readonly Record Reflect RegExp Required Set
    String Symbol Uint8Array WeakMap WeakSet console globalThis process length push pop shift map filter reduce forEach
    join split slice splice concat indexOf includes keys values entries hasOwnProperty toString valueOf then call apply
    bind prototype constructor assign create freeze isArray trim replace match test exec some every find sort reverse
    next has add clear name message stack size charCodeAt startsWith endsWith toLowerCase toUpperCase
"""
IGNORED_SCRIPT = frozenset(SCRIPT_WORDS.split())
IGNORED_PYTHON = frozenset(keyword.kwlist) | frozenset(keyword.softkwlist) | frozenset(dir(builtins)) | frozenset(
    name
    for kind in (object, str, bytes, int, float, dict, list, set, tuple, BaseException, type, property)
    for name in dir(kind)
) | {"self", "cls"}  # fmt: skip


@dataclass(frozen=True)
class Position:
    """A cursor, and what the rest of its line holds: `names` all cross-file names, `new` those that the text above does
    not hold, `only` those that occur nowhere else in the file."""

    path: str
    line: int
    column: int
    names: frozenset[str]
    new: frozenset[str]
    only: frozenset[str]


@dataclass
class Source:
    """One file, and the truth about it. `heads`: name -> how its definitions here begin, white space squeezed.

    `fields` the same for attributes. `used`: (line, column, name) of identifiers outside strings and comments. `bound`:
    names of this file's own. `imports`: the lines of its imports; `modules`: names of whole modules here, `taken`:
    (name here, first part of the package) of what is taken out of them, "" for a relative import.
    """

    path: str
    text: str
    heads: dict[str, set[str]] = field(default_factory=dict)
    fields: dict[str, set[str]] = field(default_factory=dict)
    used: list[tuple[int, int, str]] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)
    imports: set[int] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    taken: set[tuple[str, str]] = field(default_factory=set)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def language(self) -> str:
        return language_of(self.path)

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(WORD.findall(self.text))

    @cached_property
    def first(self) -> dict[str, int]:
        """The line in which each word occurs first."""
        found: dict[str, int] = {}
        for number, line in enumerate(self.lines):
            for word in WORD.findall(line):
                found.setdefault(word, number)
        return found


# The truth


def squeezed(text: str) -> str:
    return SQUEEZED.sub(" ", text).strip()


def bare(line: str) -> str:
    """A line with its white space squeezed, without what may be left out before a definition."""
    return MODIFIERS.sub("", squeezed(line))


def head_of(line: str, name: str) -> str:
    """How a line that defines `name` begins: up to the name where a keyword says so, else some way beyond it."""
    text = bare(line)
    at = text.find(name)
    if at < 0:
        return text[:HEAD_CHARS]
    declared = re.match(r"(?:def|class|function|interface|type|enum|const|let|var|namespace|abstract)\s", text)
    end = at + len(name) + (0 if declared else 2)
    return text[: end if declared else max(end, HEAD_CHARS)]


def python_truth(source: Source) -> None:
    tree = ast.parse(source.text)
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.NAME:
            source.used.append((token.start[0] - 1, token.start[1], token.string))

    def define(name: str, line: int, *, attribute: bool = False) -> None:
        source.bound.add(name)
        at = next((n for n in range(line - 1, min(line + 40, len(source.lines))) if name in source.lines[n]), line - 1)
        heads = source.fields if attribute else source.heads
        heads.setdefault(name, set()).add(head_of(source.lines[at], name))

    def members(body: Sequence[ast.stmt], inside: bool) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                define(node.name, node.lineno)
                if isinstance(node, ast.ClassDef):
                    members(node.body, True)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    for name in ast.walk(target):
                        if isinstance(name, ast.Name):
                            define(name.id, name.lineno, attribute=inside)
            elif isinstance(node, ast.If | ast.Try | ast.With):
                members([*node.body, *getattr(node, "orelse", [])], inside)

    members(tree.body, False)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            source.imports.update(range(node.lineno - 1, node.end_lineno or node.lineno))
        if isinstance(node, ast.Import):
            source.modules.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = "" if node.level else (node.module or "").partition(".")[0]
            source.taken.update((alias.asname or alias.name, package) for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            source.bound.add(node.id)
        elif isinstance(node, ast.arg):
            source.bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            source.bound.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            define(node.attr, node.lineno, attribute=True)


SCRIPT_FIELDS = {"public_field_definition", "field_definition", "property_signature"}
SCRIPT_DEFINERS = SCRIPT_FIELDS | {
    "function_declaration", "generator_function_declaration", "class_declaration", "abstract_class_declaration",
    "interface_declaration", "type_alias_declaration", "enum_declaration", "method_definition", "method_signature",
    "abstract_method_signature", "function_signature", "internal_module",
}  # fmt: skip
SCRIPT_NAMES = {
    "identifier", "property_identifier", "type_identifier", "shorthand_property_identifier",
    "shorthand_property_identifier_pattern", "private_property_identifier",
}  # fmt: skip
SCRIPT_BINDERS = {"variable_declarator": "name", "required_parameter": "pattern", "optional_parameter": "pattern"}


def script_truth(source: Source) -> None:
    found = grammar_for(source.language)
    parse = parser(*found) if found else None
    if parse is None:
        return
    data = source.text.encode()
    stack = [(parse.parse(data).root_node, False)]
    while stack:
        node, local = stack.pop()
        name = node.child_by_field_name("name") if node.type in SCRIPT_DEFINERS else None
        if node.type == "import_statement":
            source.imports.update(range(node.start_point[0], node.end_point[0] + 1))
            statement = data[node.start_byte : node.end_byte].decode()
            names = WORD.findall(statement.rpartition(" from ")[0])
            if re.search(r"from\s+[\"'][^.]", statement) or "*" in statement:
                source.modules.update(names)
        if node.type == "variable_declarator" and not local:
            name = node.child_by_field_name("name")
            name = name if name is not None and name.type == "identifier" else None
        if name is not None:
            word = data[name.start_byte : name.end_byte].decode()
            source.bound.add(word)
            head = head_of(source.lines[name.start_point[0]], word)
            heads = source.fields if node.type in SCRIPT_FIELDS else source.heads
            heads.setdefault(word, set()).add(head)
        if field_name := SCRIPT_BINDERS.get(node.type):
            pattern = node.child_by_field_name(field_name)
            if pattern is not None:
                source.bound.update(WORD.findall(data[pattern.start_byte : pattern.end_byte].decode()))
        if node.type in SCRIPT_NAMES:
            word = data[node.start_byte : node.end_byte].decode()
            column = len(data[data.rfind(b"\n", 0, node.start_byte) + 1 : node.start_byte].decode())
            source.used.append((node.start_point[0], column, word))
        inner = local or node.type == "statement_block"
        stack.extend((child, inner) for child in node.named_children)
    source.used.sort()


class Package:
    """A package's files, what they define, and the positions drawn from them."""

    def __init__(self, kind: str, spec: str) -> None:
        self.name = spec.replace("@", "==").split("==")[0]
        archive = copying.load(copying.fetch(kind, spec))
        below = FOLDERS.get(self.name, "")
        files = {path.partition("/")[2]: lines for path, lines in archive.items()}
        files = {path: lines for path, lines in files.items() if path.startswith(below)}
        self.twins = copying.copies(files)
        self.sources: dict[str, Source] = {}
        self.definers: dict[str, set[str]] = defaultdict(set)
        for path, lines in sorted(files.items()):
            source = Source(path, "\n".join(lines) + "\n")
            try:
                (python_truth if source.language == "python" else script_truth)(source)
            except (SyntaxError, tokenize.TokenError, ValueError):
                source = Source(path, source.text)
            self.sources[path] = source
            for name in source.heads:
                self.definers[name].add(path)
        folders = {part for path in self.sources for part in path.split("/")[:-1]}
        stems = {path.rpartition("/")[2].rpartition(".")[0] for path in self.sources}
        for source in self.sources.values():
            # Modules, and what is taken out of other packages, have no definition here.
            source.bound |= source.modules
            for name, package in source.taken:
                if (package and package not in folders | stems) or (name not in self.definers and name in stems):
                    source.bound.add(name)

    def heads(self, name: str, path: str) -> set[str]:
        """How the definitions of `name` in other files than `path` begin."""
        return {head for other in self.definers[name] if other != path for head in self.sources[other].heads[name]}

    def positions(self, inside: bool, new: bool, count: int = POSITIONS_PER_PACKAGE) -> list[Position]:
        """Drawn by a seed from all places with a cross-file name ahead; `new`: with one that is new to the file."""
        rng = random.Random(f"{SEED} {self.name} {inside}")
        found: list[Position] = []
        for path in sorted(set(self.sources) - self.twins):
            found += self._in_file(self.sources[path], inside, rng)
        found = [one for one in found if one.new or not new]
        return sorted(rng.sample(found, min(count, len(found))), key=lambda p: (p.path, p.line))

    def _in_file(self, source: Source, inside: bool, rng: random.Random) -> Iterator[Position]:
        ignored = IGNORED_PYTHON if source.language == "python" else IGNORED_SCRIPT
        by_line: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for line, column, name in source.used:
            by_line[line].append((column, name))
        for line, used in sorted(by_line.items()):
            text = source.lines[line]
            if line in source.imports or len(text) > 240:
                continue
            column = len(text) - len(text.lstrip())
            if inside:
                cuts = [match.end() for match in CUT.finditer(text, column + 1) if match.end() < len(text.rstrip())]
                cuts = [cut for cut in cuts if any(at >= cut for at, _ in used)]
                if not cuts:
                    continue
                column = rng.choice(cuts)
            names = {
                name
                for at, name in used
                if at >= column and len(name) >= 3 and name not in ignored and name not in source.bound
            }
            names = {name for name in names if self.definers.get(name, set()) - {source.path}}
            if not names:
                continue
            rest = Counter(WORD.findall(text[column:]))
            before = set(WORD.findall(text[:column]))
            new = frozenset(name for name in names if source.first.get(name, line) >= line and name not in before)
            only = frozenset(name for name in new if source.counts[name] == rest[name])
            yield Position(source.path, line, column, frozenset(names), new, only)


# Scores


@dataclass
class Score:
    """Sums over positions: names looked for and found, seconds of processor time that a
    context took, the first time and `again`, characters of contexts."""

    new: int = 0
    new_found: int = 0
    only: int = 0
    only_found: int = 0
    names: int = 0
    defined: int = 0
    seconds: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    chars: list[int] = field(default_factory=list)

    def add(self, package: Package, position: Position, context: str, seconds: float) -> None:
        words = set(WORD.findall(context))
        self.seconds.append(seconds)
        self.chars.append(len(context))
        self.new += len(position.new)
        self.new_found += len(position.new & words)
        self.only += len(position.only)
        self.only_found += len(position.only & words)
        self.names += len(position.names)
        starts = [bare(line) for line in context.split("\n")]
        for name in position.names & words:
            self.defined += defines(starts, name, package.heads(name, position.path))

    @property
    def m1(self) -> float:
        return 100 * self.new_found / max(1, self.new)

    @property
    def strict(self) -> float:
        return 100 * self.only_found / max(1, self.only)

    @property
    def m2(self) -> float:
        return 100 * self.defined / max(1, self.names)


def defines(lines: Sequence[str], name: str, heads: set[str]) -> bool:
    """Whether a line begins as a definition of `name` does."""
    for line in lines:
        if name not in line:
            continue
        for head in heads:
            if line.startswith(head) and not (head.endswith(name) and WORD.match("_" + line[len(head) :]).end() > 1):
                return True
            # An outline may shorten the value or the type that follows the name.
            at = head.find(name) + len(name)
            if len(line) < len(head) and len(line) >= at + 1 and head.startswith(line):
                return True
    return False
