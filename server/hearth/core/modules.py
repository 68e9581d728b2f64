"""Import resolution: which files of the project an import statement may mean.

No build system is asked and nothing is run: a module's name is turned into the ends of paths that it may have, best
guess first, and of several files that fit the one nearest to the importing file is meant. That finds packages below
`src/`, in monorepos and in folders that are on no search path, and it costs a few look-ups by file name.

A candidate is the end of a path at a folder boundary (`models/shape.py`); with a leading "/" it is the whole path from
the project's folder (`/app/models/shape.py`); with a trailing "/" it means the source files of a folder.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from hearth.core.grammars import language_of

CANDIDATES_MAX = 24
SEGMENTS_MAX = 24
MODULE_CHARS_MAX = 400
FOLDER_FILES_MAX = 64

Named = Callable[[str], Sequence[str]]
"""All paths of the project with this last part: its files of a name, or the files right in the folders of a name."""

_SCRIPT_ENDINGS = (".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mts", ".mjs", ".cts", ".cjs", ".vue", ".svelte")
_SCRIPT_FIRST = (".ts", ".tsx", ".js", ".d.ts", ".jsx", ".mjs")
_SHELL_ENDINGS = (".sh", ".bash")
_WRITTEN_FOR = {".js": (".ts", ".tsx", ".d.ts"), ".jsx": (".tsx",), ".mjs": (".mts", ".d.mts"), ".cjs": (".cts",)}
_STYLE_ENDINGS = (".scss", ".css", ".less")
_FAMILIES = {
    "typescriptreact": "script", "typescript": "script", "javascriptreact": "script", "javascript": "script",
    "vue": "script", "svelte": "script", "c": "include", "cpp": "include", "objective-c": "include",
    "java": "jvm", "kotlin": "jvm", "scala": "jvm", "scss": "style", "css": "style", "less": "style",
}  # fmt: skip
_NODE_WORDS = (
    "assert buffer child_process cluster console constants crypto dgram dns domain events fs http http2 https module"
    " net os path perf_hooks process punycode querystring readline repl stream string_decoder sys timers tls"
    " trace_events tty url util v8 vm wasi worker_threads zlib"
)
_NODE = frozenset(_NODE_WORDS.split())
_STANDARD_WORDS = (
    "__future__ abc argparse array ast asyncio atexit base64 bisect builtins calendar cgi cmd code codecs collections"
    " colorsys concurrent configparser contextlib contextvars copy csv ctypes dataclasses datetime decimal difflib dis"
    " email enum errno faulthandler fcntl filecmp fnmatch fractions ftplib functools gc getopt getpass gettext glob"
    " gzip hashlib heapq hmac html http imaplib importlib inspect io ipaddress itertools json keyword linecache locale"
    " logging lzma mailbox marshal math mimetypes mmap multiprocessing numbers operator optparse os pathlib pdb pickle"
    " pkgutil platform plistlib poplib posixpath pprint profile pstats pty pwd queue quopri random re readline reprlib"
    " resource sched secrets select selectors shelve shlex shutil signal site smtplib socket socketserver sqlite3 ssl"
    " stat statistics string stringprep struct subprocess symtable sys sysconfig syslog tarfile telnetlib tempfile"
    " termios textwrap threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty types"
    " typing unicodedata unittest urllib uuid venv warnings wave weakref webbrowser winreg wsgiref xml xmlrpc zipfile"
    " zipimport zlib zoneinfo"
)
_STANDARD = frozenset(_STANDARD_WORDS.split())
_VARIABLE = re.compile(r"^(?:\$\{?\w+\}?|\$\([^)]*\)|\"|')+/?")


def candidates(language: str, module: str, importer: str) -> tuple[str, ...]:
    """The paths that `module`, as written in the file `importer`, may have: best first, () for what cannot be here.

    `importer` is a path relative to the project's folder, with "/".
    """
    module = module.strip().strip("\"'<>;`")
    if not module or len(module) > MODULE_CHARS_MAX or "\n" in module:
        return ()
    find = _FINDERS.get(_FAMILIES.get(language, language))
    if find is None:
        return ()
    found: dict[str, None] = {}
    for path in find(module, importer):
        if path.strip("/") and path.count("/") <= SEGMENTS_MAX:
            found[path] = None
    return tuple(found)[:CANDIDATES_MAX]


def best(wanted: Sequence[str], paths: Iterable[str], importer: str) -> tuple[str, ...]:
    """Of `paths`, what the first candidate that any of them fits means: the file nearest to `importer`, or for a
    folder the source files right in the nearest such folder, at most FOLDER_FILES_MAX. Never `importer` itself."""
    known = [path for path in paths if path != importer]
    language = language_of(importer)
    for candidate in wanted:
        end = "/" + candidate
        if candidate.endswith("/"):
            folders = {path.rpartition("/")[0] for path in known if _related(language, path)}
            fitting = [folder for folder in folders if _fits(folder, candidate[:-1])]
            if fitting:
                folder = min(fitting, key=lambda one: _distance(one + "/", importer))
                inside = (path for path in known if path.rpartition("/")[0] == folder and _related(language, path))
                return tuple(sorted(inside)[:FOLDER_FILES_MAX])
        elif candidate.startswith("/"):
            if candidate[1:] in known:
                return (candidate[1:],)
        elif fitting := [path for path in known if path.endswith(end) or path == candidate]:
            return (min(fitting, key=lambda one: _distance(one, importer)),)
    return ()


def resolved(language: str, module: str, importer: str, named: Named, within: Named | None = None) -> tuple[str, ...]:
    """`best` of `candidates`, with the project asked for no more than is needed: `named` gives the files of a name,
    `within` the files right in folders of a name (None: imports that mean folders are not resolved)."""
    asked: dict[str, Sequence[str]] = {}
    for candidate in candidates(language, module, importer):
        last = candidate.rstrip("/").rpartition("/")[2]
        ask = within if candidate.endswith("/") else named
        if ask is None:
            continue
        key = last + candidate[len(candidate.rstrip("/")) :]
        paths = asked[key] if key in asked else asked.setdefault(key, ask(last))
        if paths and (found := best((candidate,), paths, importer)):
            return found
    return ()


def inner(language: str, module: str, name: str) -> str:
    """The module that `name`, taken out of `module`, is if it is a module itself; "" where there is no such thing."""
    if language == "python":
        return module + name if module.endswith(".") else f"{module}.{name}"
    if language == "rust":
        return f"{module}::{name}"
    if _FAMILIES.get(language) == "jvm":
        return f"{module}.{name}"
    if language == "php":
        return f"{module}\\{name}"
    return ""


def _fits(path: str, candidate: str) -> bool:
    if candidate.startswith("/"):
        return path == candidate[1:]
    return path == candidate or path.endswith("/" + candidate)


def _related(language: str, path: str) -> bool:
    other = language_of(path)
    return _FAMILIES.get(other, other) == _FAMILIES.get(language, language)


def _distance(path: str, importer: str) -> tuple[int, int, str]:
    """Smaller is nearer: what leads from the folder of one file to that of another, then the shorter path."""
    mine, other = importer.split("/")[:-1], path.split("/")[:-1]
    shared = 0
    for a, b in zip(mine, other, strict=False):
        if a != b:
            break
        shared += 1
    return len(mine) + len(other) - 2 * shared, len(other), path


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _joined(folder: str, relative: str) -> str | None:
    """A path from the project's folder with a leading "/"; None for one that leads out of it."""
    parts = folder.split("/") if folder else []
    for part in relative.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


# Languages


def _python(module: str, importer: str) -> list[str]:
    name = module.lstrip(".")
    dots = len(module) - len(name)
    inside = name.replace(".", "/")
    if not dots:
        plain = _python_files(inside)
        if name.split(".")[0] in _STANDARD:
            # Only at the places that a search path begins with: `logging` is not the project's own logging.py.
            return [f"/{root}{path}" for root in ("", "src/") for path in plain]
        return plain
    folder = _joined(_folder(importer), "../" * (dots - 1))
    if folder is None:
        return []
    base = folder.rstrip("/")
    return _python_files(f"{base}/{inside}") if inside else [f"{base}/__init__.py", f"{base}/__init__.pyi"]


def _python_files(path: str) -> list[str]:
    return [f"{path}.py", f"{path}/__init__.py", f"{path}.pyi", f"{path}/__init__.pyi"]


def _script(module: str, importer: str) -> list[str]:
    module = module.partition("?")[0]
    if module.startswith("."):
        base = _joined(_folder(importer), module)
        return _script_files(base, _SCRIPT_ENDINGS) if base else []
    if module.startswith("node:") or module.split("/")[0] in _NODE or "://" in module:
        return []
    if module.startswith(("@/", "~/", "#/", "$lib/")):
        return _script_files(module.partition("/")[2], _SCRIPT_FIRST)
    if module.startswith("/"):
        return _script_files(module, _SCRIPT_FIRST)
    parts = module.split("/")
    package = parts[:2] if module.startswith("@") and len(parts) > 1 else parts[:1]
    rest = "/".join(parts[len(package) :])
    name = package[-1]
    if not rest:
        return [f"{name}/{inside}index{end}" for inside in ("src/", "", "lib/") for end in (".ts", ".tsx", ".js")]
    found = [f"{name}/{inside}{rest}{end}" for inside in ("src/", "") for end in (".ts", ".tsx", ".js", "/index.ts")]
    # The project's own name, or a path below the folder that its compiler was told of.
    return [*found, *(f"{module}{end}" for end in _SCRIPT_FIRST), *_script_files(rest, (".ts", ".js"))]


def _script_files(base: str, endings: Sequence[str]) -> list[str]:
    dot = base.rfind(".")
    ending = base[dot:] if dot > base.rfind("/") else ""
    found: list[str] = []
    if ending in _SCRIPT_ENDINGS or ending in (".json", ".css", ".scss"):
        found += [base[:dot] + other for other in _WRITTEN_FOR.get(ending, ())]
        return [*found, base]
    found += [base + other for other in endings]
    return found + [f"{base}/index{other}" for other in endings if other not in (".vue", ".svelte")]


def _go(module: str, importer: str) -> list[str]:
    parts = module.split("/")
    if len(parts) == 1 and not importer.startswith(parts[0]):
        return []
    # A module's own path is in go.mod, which is not read: what is left of it without its first parts is a folder here.
    return ["/".join(parts[skip:]) + "/" for skip in range(len(parts)) if "." not in parts[skip]]


def _rust(module: str, importer: str) -> list[str]:
    parts = [part for part in module.replace("{", "").split("::") if part and part != "*"]
    folder, name = _folder(importer), importer.rpartition("/")[2].removesuffix(".rs")
    own = folder if name in ("mod", "lib", "main") else f"{folder}/{name}".lstrip("/")
    if not parts:
        return []
    head, rest = parts[0], parts[1:]
    if head == "crate":
        before, sep, _ = f"/{importer}".rpartition("/src/")
        return _rust_files(f"{before}/src" if sep else f"/{folder}".rstrip("/"), rest)
    if head == "self":
        return _rust_files(f"/{own}", rest)
    if head == "super":
        steps = 1 + sum(1 for part in rest if part == "super")
        base = _joined(own, "../" * steps)
        return _rust_files(base, [part for part in rest if part != "super"]) if base else []
    if head in ("std", "core", "alloc"):
        return []
    if not rest:
        return [*_rust_files(f"/{own}", parts), *_rust_files(f"{head}/src", []), f"{head.replace('_', '-')}/src/lib.rs"]
    other = [path for crate in (head, head.replace("_", "-")) for path in _rust_files(f"{crate}/src", rest)]
    return [*_rust_files(f"/{own}", parts), *other]


def _rust_files(base: str, parts: Sequence[str]) -> list[str]:
    """From the longest path, since its last parts may be items or modules written inside a file."""
    found: list[str] = []
    base = base.rstrip("/")
    for count in range(len(parts), 0, -1):
        path = "/".join(parts[:count])
        found += [f"{base}/{path}.rs", f"{base}/{path}/mod.rs"]
    return found if parts else [f"{base}.rs", f"{base}/mod.rs", f"{base}/lib.rs", f"{base}/main.rs"]


def _jvm(module: str, importer: str) -> list[str]:
    parts = [part for part in module.removeprefix("static ").split(".") if part not in ("", "*", "_")]
    if not parts or parts[0] in ("java", "javax", "kotlin", "scala"):
        return []
    endings = (".kt", ".java") if importer.endswith((".kt", ".kts")) else (".java", ".kt", ".scala")
    found: list[str] = []
    for count in (len(parts), len(parts) - 1):
        if count > 0 and (count == len(parts) or parts[count - 1][:1].isupper()):
            found += ["/".join(parts[:count]) + end for end in endings]
    return [*found, "/".join(parts) + "/"]


def _csharp(module: str, importer: str) -> list[str]:
    parts = module.partition("=")[2].strip().split(".") if "=" in module else module.removeprefix("static ").split(".")
    if parts[0] in ("System", "Microsoft"):
        return []
    found: list[str] = []
    # A namespace is a folder by custom, its first parts often are the project's name.
    for skip in range(len(parts)):
        path = "/".join(parts[skip:])
        found += [f"{path}.cs"] if skip == 0 and len(parts) > 1 else []
        found.append(f"{path}/")
    return found


def _php(module: str, importer: str) -> list[str]:
    if module.endswith(".php"):
        return _relative_first(module.lstrip("/"), importer, ("",))
    parts = [part for part in module.strip("\\").split("\\") if part]
    found: list[str] = []
    for skip in range(max(1, len(parts) - 1)):
        found.append("/".join(parts[skip:]) + ".php")
    return [*found, *(f"{root}/{parts[-1]}.php" for root in ("src", "app", "lib") if len(parts) == 2)]


def _include(module: str, importer: str) -> list[str]:
    return _relative_first(module, importer, ("",))


def _ruby(module: str, importer: str) -> list[str]:
    return _relative_first(module, importer, ("",) if module.endswith(".rb") else (".rb",))


def _dart(module: str, importer: str) -> list[str]:
    if module.startswith("dart:"):
        return []
    if module.startswith("package:"):
        package, _, rest = module.removeprefix("package:").partition("/")
        return [f"{package}/lib/{rest}", f"/lib/{rest}", f"lib/{rest}"] if rest else []
    path = _joined(_folder(importer), module)
    return [path] if path else []


def _shell(module: str, importer: str) -> list[str]:
    bare = _VARIABLE.sub("", module).strip("\"'")
    return [] if "$" in bare else _relative_first(bare, importer, ("", *_SHELL_ENDINGS))


def _style(module: str, importer: str) -> list[str]:
    folder, _, name = module.rpartition("/")
    under = f"{folder}/_{name}" if folder else f"_{name}"
    endings = ("",) if name.endswith(_STYLE_ENDINGS) else _STYLE_ENDINGS
    return [path for one in (module, under) for path in _relative_first(one, importer, endings)]


def _html(module: str, importer: str) -> list[str]:
    return [] if "://" in module else _relative_first(module.lstrip("/"), importer, ("",))


def _relative_first(module: str, importer: str, endings: Sequence[str]) -> list[str]:
    """Beside the importing file, then anywhere."""
    path = _joined(_folder(importer), module)
    bare = "/".join(part for part in module.split("/") if part not in ("", ".", ".."))
    return [*(f"{path}{end}" for end in endings if path), *(f"{bare}{end}" for end in endings if bare)]


_FINDERS: dict[str, Callable[[str, str], list[str]]] = {
    "python": _python,
    "script": _script,
    "go": _go,
    "rust": _rust,
    "jvm": _jvm,
    "csharp": _csharp,
    "php": _php,
    "include": _include,
    "ruby": _ruby,
    "dart": _dart,
    "shellscript": _shell,
    "style": _style,
    "html": _html,
}
