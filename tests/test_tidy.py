"""The architecture's rules, checked on every source file; and the checks themselves, checked on small bad samples."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SERVER = ROOT / "server"
CLIENT_SOURCE = ROOT / "client-extension" / "src"

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
CLIENT_LINES_MAX = 430

# Each part may import its own level and every level before it.
LEDGER = ("ledger", "ledger_files", "ledger_reading", "ledger_report")
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("core",),
    ("settings", "uris"),
    ("backends", "store", "store_disk", "anchors", "known_values", "consents", "index", "courier", "worker", *LEDGER),
    ("gateway", "trip", "bills", "cloud", "masking", "rulings"),
    ("door",),
    (
        "gather",
        "copies",
        "project",
        "flight",
        "pilot",
        "idle",
        "embed",
        "sending",
        "complete",
        "why",
        "chat",
        "agent",
        "journal",
    ),
    ("engine",),
    ("lsp", "cli", "cli_ask", "cli_consent", "cli_models", "cli_task", "dashboard"),
    ("__main__",),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}

# What core may import beside itself: nothing here reads a clock, a file, a socket or a random number.
PURE_MODULES = {
    "abc", "array", "base64", "binascii", "bisect", "builtins", "collections", "dataclasses", "decimal", "difflib",
    "enum", "functools", "hashlib", "heapq", "itertools", "json", "keyword", "math", "operator", "re", "string",
    "symtable", "textwrap", "types", "typing", "unicodedata", "zlib", "tree_sitter",
}  # fmt: skip
PURE_NAMES = {
    "urllib.parse": {"quote", "unquote", "urlsplit"},
    "pathlib": {"PurePath", "PurePosixPath", "PureWindowsPath"},
    "importlib": {"import_module"},  # for grammars, loaded one by one at the first use, and for re2, if it is there
}
PURE_FOR = {"hearth/core/repomap.py": {"numpy"}, "hearth/core/task_library.py": {"sys"}}
"""What only one module of core may import: it costs a tenth of a second, or is asked for names alone."""
IMPURE_BUILTINS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}

# Third-party packages that only some parts may touch.
CONFINED = {
    "lsprotocol": {"lsp"},
    "pygls": {"lsp"},
    "httpx": {"backends", "courier", "dashboard"},
    "litellm": {"courier"},
    "diskcache": {"store_disk"},
    "qdrant_client": {"index"},
    "qdrant_edge": {"index"},
}
# What of `backends` is shared machinery; every other module there is one concrete backend.
SHARED_BACKENDS = {"base", "calls", "chatting", "cut", "http", "reading", "wire"}
FORBIDDEN_FILES = {"utils.py", "util.py", "helpers.py", "misc.py"}
HOSTS = re.compile(r"registry\.npm|npmjs\.org|pypi\.org|pythonhosted\.org|deb\.debian|archive\.ubuntu")

Sources = Mapping[str, str]
Rule = Callable[[Sources], list[str]]


def server_sources() -> dict[str, str]:
    """Every module of the server: its path relative to server/, with slashes, and its text."""
    return {p.relative_to(SERVER).as_posix(): p.read_text("utf-8") for p in sorted(SERVER.rglob("*.py"))}


def module_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def part_of(module: str) -> str:
    """`hearth.core.text` -> `core`; `hearth` itself -> ""."""
    return [*module.split("."), ""][1]


def imports(path: str, text: str, known: Sources) -> Iterator[tuple[ast.stmt, str, str]]:
    """Every import as (node, module, name); `from hearth import store` counts as an import of hearth.store."""
    modules = {module_of(p) for p in known}
    package = module_of(path) if path.endswith("__init__.py") else module_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                deeper = f"{module}.{alias.name}"
                yield (node, deeper, "") if deeper in modules else (node, module, alias.name)


def layers(sources: Sources) -> list[str]:
    problems: list[str] = []
    for path, text in sources.items():
        here = part_of(module_of(path))
        if here and here not in LEVEL:
            problems.append(f"{path}: {here} has no place in the layers")
            continue
        for node, module, _ in imports(path, text, sources):
            there = part_of(module) if module.startswith("hearth.") else ""
            if there and LEVEL.get(there, 0) > LEVEL.get(here, -1):
                problems.append(f"{path}:{node.lineno}: {here or 'hearth'} must not import {there}")
    return problems


def core_is_pure(sources: Sources) -> list[str]:
    problems: list[str] = []
    for path, text in sources.items():
        if part_of(module_of(path)) != "core":
            continue
        for node, module, name in imports(path, text, sources):
            top = module.split(".")[0]
            allowed = PURE_MODULES | PURE_FOR.get(path, set())
            if top != "hearth" and top not in allowed and name not in PURE_NAMES.get(module, set()):
                problems.append(f"{path}:{node.lineno}: core must not import {module}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
                problems.append(f"{path}:{node.lineno}: core must not await")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS:
                problems.append(f"{path}:{node.lineno}: core must not call {node.func.id}")
    return problems


def confined_packages(sources: Sources) -> list[str]:
    return [
        f"{path}:{node.lineno}: {top} belongs into {', '.join(sorted(CONFINED[top]))} only"
        for path, text in sources.items()
        for node, module, _ in imports(path, text, sources)
        if (top := module.split(".")[0]) in CONFINED and part_of(module_of(path)) not in CONFINED[top]
    ]


def concrete_backends(sources: Sources) -> list[str]:
    return [
        f"{path}:{node.lineno}: only engine imports the concrete backend {module}"
        for path, text in sources.items()
        for node, module, _ in imports(path, text, sources)
        if module.startswith("hearth.backends.")
        and module.split(".")[2] not in SHARED_BACKENDS
        and part_of(module_of(path)) not in ("engine", "backends")
    ]


def imports_at_the_top(sources: Sources) -> list[str]:
    problems: list[str] = []
    for path, text in sources.items():
        inside: set[ast.AST] = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside.update(ast.walk(node))
        lines = {node.lineno for node in inside if isinstance(node, ast.Import | ast.ImportFrom)}
        for node, module, _ in imports(path, text, sources):
            if node.lineno in lines and module.split(".")[0] == "hearth":
                problems.append(f"{path}:{node.lineno}: {module} is imported inside a function")
    return problems


def no_cycles(sources: Sources) -> list[str]:
    graph: dict[str, set[str]] = {}
    for path, text in sources.items():
        module = module_of(path)
        targets = {target for _, target, _ in imports(path, text, sources)}
        graph[module] = {target for target in targets if target in {module_of(p) for p in sources}} - {module}
    problems: list[str] = []
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        if module in trail:
            problems.append("import cycle: " + " -> ".join((*trail[trail.index(module) :], module)))
        elif module not in done:
            for target in sorted(graph[module]):
                visit(target, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())
    return problems


def broad_excepts(sources: Sources) -> list[str]:
    """`except Exception` once, in lsp; a bare one or BaseException only where it raises again."""
    problems: list[str] = []
    guards: list[str] = []
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {name.id for name in caught if isinstance(name, ast.Name)}
            where = f"{path}:{node.lineno}"
            if "Exception" in names and part_of(module_of(path)) == "lsp":
                guards.append(where)
            elif "Exception" in names:
                problems.append(f"{where}: except Exception")
            elif node.type is None or "BaseException" in names:
                last = node.body[-1]
                if not (isinstance(last, ast.Raise) and last.exc is None):
                    problems.append(f"{where}: catches everything without raising it again")
    return problems + [f"{where}: except Exception a second time" for where in guards[1:]]


def sizes(sources: Sources) -> list[str]:
    problems: list[str] = []
    for path, text in sources.items():
        count = len(text.splitlines())
        if count > FILE_LINES_MAX:
            problems.append(f"{path}: {count} lines, more than {FILE_LINES_MAX}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    problems.append(f"{path}:{node.lineno}: {node.name} has {length} lines, over {FUNCTION_LINES_MAX}")
    return problems


def no_prints(sources: Sources) -> list[str]:
    """Standard output belongs to the protocol."""
    return [
        f"{path}:{node.lineno}: print"
        for path, text in sources.items()
        if part_of(module_of(path)) != "cli"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def names_and_todos(sources: Sources) -> list[str]:
    problems = [f"{path}: say what it is for" for path in sources if path.rpartition("/")[2] in FORBIDDEN_FILES]
    for path, text in sources.items():
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.COMMENT or not re.search(r"\b(TODO|FIXME|XXX)\b", token.string):
                continue
            if not re.search(r"\bTODO: \S+ \S+ \S+", token.string):
                problems.append(f"{path}:{token.start[0]}: a TODO says what is missing and why")
    return problems


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        layers,
        core_is_pure,
        confined_packages,
        concrete_backends,
        imports_at_the_top,
        no_cycles,
        broad_excepts,
        sizes,
        no_prints,
        names_and_todos,
    )
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_server_keeps_the_rules(rule: Rule):
    sources = server_sources()
    assert len(sources) > 5
    assert rule(sources) == []


GOOD: dict[str, str] = {
    "hearth/__init__.py": '__version__ = "1"\n',
    "hearth/errors.py": "class HearthError(Exception): ...\n",
    "hearth/core/__init__.py": "",
    "hearth/core/text.py": "import re\nfrom pathlib import PurePosixPath\nfrom hearth.errors import HearthError\n",
    "hearth/backends/__init__.py": "",
    "hearth/backends/base.py": "import httpx\n",
    "hearth/backends/ollama.py": "from hearth.backends import base\n",
    "hearth/engine.py": "from hearth.backends.ollama import x\nfrom hearth.core import text\n",
    "hearth/lsp/__init__.py": "",
    "hearth/lsp/server.py": "import pygls\ntry:\n    pass\nexcept Exception:\n    pass\n",
    "hearth/cli.py": "from hearth import engine\nimport hearth.lsp.server\nprint(1)  # TODO: goes with real logs\n",
}
BAD: tuple[tuple[str, str, str], ...] = (
    ("layers", "hearth/core/x.py", "from hearth.settings import Settings"),
    ("layers", "hearth/core/x.py", "from hearth import engine"),
    ("layers", "hearth/backends/x.py", "from ..engine import Engine"),
    ("layers", "hearth/errors.py", "import hearth.core.text"),
    ("layers", "hearth/__init__.py", "from hearth.errors import HearthError"),
    ("layers", "hearth/elsewhere.py", ""),
    ("core_is_pure", "hearth/core/x.py", "import os"),
    ("core_is_pure", "hearth/core/x.py", "import time"),
    ("core_is_pure", "hearth/core/x.py", "import numpy as np"),
    ("core_is_pure", "hearth/core/x.py", "import random"),
    ("core_is_pure", "hearth/core/x.py", "import asyncio"),
    ("core_is_pure", "hearth/core/x.py", "from pathlib import Path"),
    ("core_is_pure", "hearth/core/x.py", "def f():\n    from datetime import datetime"),
    ("core_is_pure", "hearth/core/x.py", "async def f(): ..."),
    ("core_is_pure", "hearth/core/x.py", "open('x')"),
    ("confined_packages", "hearth/engine.py", "from lsprotocol import types"),
    ("confined_packages", "hearth/cli.py", "import pygls.lsp.server"),
    ("confined_packages", "hearth/gateway.py", "import httpx"),
    ("confined_packages", "hearth/backends/x.py", "import litellm"),
    ("concrete_backends", "hearth/cli.py", "from hearth.backends.ollama import Ollama"),
    ("concrete_backends", "hearth/gateway.py", "from hearth.backends import ollama"),
    ("imports_at_the_top", "hearth/cli.py", "def f():\n    from hearth.engine import Engine"),
    ("no_cycles", "hearth/core/text.py", "from hearth.core import x\n#x:from hearth.core.text import y"),
    ("broad_excepts", "hearth/engine.py", "try: ...\nexcept Exception: ..."),
    ("broad_excepts", "hearth/engine.py", "try: ...\nexcept (OSError, Exception): ..."),
    ("broad_excepts", "hearth/engine.py", "try: ...\nexcept: ..."),
    ("broad_excepts", "hearth/engine.py", "try: ...\nexcept BaseException as e: raise OSError from e"),
    ("broad_excepts", "hearth/lsp/x.py", "try: ...\nexcept Exception: ..."),
    ("sizes", "hearth/engine.py", "x = 1\n" * (FILE_LINES_MAX + 1)),
    ("sizes", "hearth/engine.py", "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX),
    ("no_prints", "hearth/lsp/x.py", "print('hello')"),
    ("names_and_todos", "hearth/core/utils.py", ""),
    ("names_and_todos", "hearth/engine.py", "x = 1  # TODO"),
    ("names_and_todos", "hearth/engine.py", "x = 1  # FIXME later"),
)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_tidy_sample_passes(rule: Rule):
    assert rule(GOOD) == []


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_each_rule_can_fail(rule: str, path: str, text: str):
    # "#x:" carries the text of a second file, hearth/core/x.py.
    text, _, second = text.partition("#x:")
    sources = {**GOOD, path: text} | ({"hearth/core/x.py": second} if second else {})
    assert RULES[rule](sources) != []


def test_the_client_stays_thin():
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in CLIENT_SOURCE.glob("*.ts"))
    assert 0 < lines < CLIENT_LINES_MAX


def test_no_registry_is_named():
    """Packages come from whichever registry the user's tools are set to."""
    files = [p for p in (ROOT / "scripts").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    files += [
        ROOT / "client-extension" / "package-lock.json",
        ROOT / "tests" / "editor" / "workbench" / "package-lock.json",
    ]
    files += [ROOT / "README.md", ROOT / "pyproject.toml"]
    assert [p.name for p in files if HOSTS.search(p.read_text("utf-8", "replace"))] == []


def test_translations_keep_their_places_to_fill_in():
    """The set of translated texts is checked by scripts/gen."""
    for path in sorted((ROOT / "client-extension" / "l10n").glob("*.json")):
        for english, text in json.loads(path.read_text("utf-8")).items():
            assert sorted(re.findall(r"\{\d\}", english)) == sorted(re.findall(r"\{\d\}", text)), (path.name, english)
