"""Gathers the secret values this machine knows: from the environment, `.env` files and the stores of common tools.

They are handed to the redaction and nowhere else; what comes out of here does not show them. Nothing is decrypted and
no program is run: a secret that only a key store's own program can read is not known here.
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from hearth.core.secret_values import KnownValues

FILE_BYTES_MAX = 1_000_000
FILES_MAX = 200
FOLDERS_MAX = 2_000
"""Folders of one workspace that are looked through for `.env` files."""
DEPTH_MAX = 4

STORES = (
    ".netrc", "_netrc", ".aws/credentials", ".aws/config", ".npmrc", ".yarnrc.yml", ".pypirc", ".docker/config.json",
    ".git-credentials", ".pgpass", ".my.cnf", ".config/gh/hosts.yml", ".config/glab-cli/config.yml", ".kube/config",
    ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".terraform.d/credentials.tfrc.json",
    ".vault-token", ".config/pip/pip.conf", ".pip/pip.conf", ".s3cfg", ".boto", ".composer/auth.json",
    ".config/rclone/rclone.conf", ".huggingface/token", ".cache/huggingface/token",
)  # fmt: skip
"""Where tools keep secrets, below the user's folder."""
WORKSPACE_STORES = (".npmrc", ".pypirc", ".yarnrc.yml", ".netrc", "auth.json")
_WHOLE = (".vault-token", "token")
"""Files that hold one value and nothing else."""

_ENV_FILE = re.compile(r"(?i)\.env(?:rc)?(?:[._-].*)?|.*\.env|\.dev\.vars|secrets?\.(?:env|toml|ini|ya?ml)")
_TEMPLATE = re.compile(r"(?i).*[._-](?:example|sample|template|dist|tpl|schema)s?")
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "site-packages", "dist", "build", "target", "vendor", "venv"})
_SECRET_NAME = re.compile(
    r"(?i)pass(?!ive|ed|ing|age|enger)|pwd|secret|token|api_?key|[_.-]key|^key$|apikey|credential|(?:^|[_.-])auth(?:$|[_.-]?(?:key|token)?)"
    r"|dsn|private|[_.-]salt|cookie|webhook|licen[cs]e|signature|access_?key|key_?data|bearer|_pat$|^pat$"
)
_NO_SECRET_NAME = re.compile(
    r"(?i)^(?:old)?pwd$|_(?:file|path|dir|sock|home|type|name|url|uri|host|port|user|email)$|askpass|keyboard"
)
_URL_PASSWORD = re.compile(r"[A-Za-z][0-9A-Za-z+.-]*://[^\s/:@]*:([^\s@/]{3,})@")
_ASSIGNED = re.compile(
    r"""(?mx) ^[ \t]* (?:export[ \t]+|set[ \t]+|-[ \t]+)?
    ["']?(?P<name>[\w./:@-]+?)["']? [ \t]* (?:=|:(?=[ \t"'])) [ \t]*
    (?: "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>[^']*)' | (?P<bare>[^\r\n]*) )"""
)
_DIGIT = re.compile(r"\d")
_LOOKS_MADE = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[^\s/\\:,;(){}<>]{16,}|[0-9A-Za-z+/]{32,}={0,2}")


def known_values(folders: Sequence[Path], environ: Mapping[str, str], home: Path) -> KnownValues:
    """All that is found for the workspace's folders and the user; files that cannot be read are passed over."""
    values: set[str] = set()
    for name, value in environ.items():
        values.update(_of_assignment(name, value, everything=False))
    read = 0
    for path in _files(folders, home):
        if read >= FILES_MAX:
            break
        text = _text(path)
        if text:
            read += 1
            values.update(_of_file(path, text))
    return KnownValues(values)


def _files(folders: Sequence[Path], home: Path) -> Iterator[Path]:
    for name in STORES:
        yield home / name
    for folder in folders:
        for name in WORKSPACE_STORES:
            yield folder / name
        yield from _env_files(folder)


def _env_files(folder: Path) -> Iterator[Path]:
    """`.env` files below a folder, nearest first; links to folders are not followed."""
    level = [folder]
    seen = 0
    for _ in range(DEPTH_MAX):
        below: list[Path] = []
        for each in level:
            seen += 1
            if seen > FOLDERS_MAX:
                return
            try:
                with os.scandir(each) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in found:
                if _is_folder(entry):
                    if entry.name not in _PASSED_OVER and not (entry.name.startswith(".") and entry.name != ".config"):
                        below.append(Path(entry.path))
                elif _ENV_FILE.fullmatch(entry.name) and not _TEMPLATE.fullmatch(entry.name):
                    yield Path(entry.path)
        level = below


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _text(path: Path) -> str:
    """The file's text; nothing if it is no ordinary file, too large or not to be read."""
    try:
        if not path.is_file() or path.stat().st_size > FILE_BYTES_MAX:
            return ""
        with path.open("rb") as stream:
            return stream.read(FILE_BYTES_MAX).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def _of_file(path: Path, text: str) -> Iterator[str]:
    name = path.name.lower()
    if name in _WHOLE:
        yield text.strip()
    elif name in (".netrc", "_netrc"):
        yield from _strings(re.findall(r"\b(?:password|account)\s+(\S+)", text))
    elif name == ".pgpass":
        yield from (re.split(r"(?<!\\):", line)[-1].replace("\\:", ":") for line in text.splitlines() if ":" in line)
    elif name.endswith(".json"):
        yield from _of_json(text)
    else:
        everything = _ENV_FILE.fullmatch(path.name) is not None
        for found in _ASSIGNED.finditer(text):
            value = found["double"] or found["single"] or _bare(found["bare"] or "")
            yield from _of_assignment(found["name"], value, everything=everything)
            if found["double"] and "\\" in found["double"]:
                yield from _of_assignment(found["name"], _unescaped(found["double"]), everything=everything)
    yield from _strings(_URL_PASSWORD.findall(text))


def _strings(found: Iterable[str]) -> Iterator[str]:
    for value in found:
        yield value
        if "%" in value:
            yield unquote(value)


def _bare(value: str) -> str:
    """A value without quotes, up to a comment."""
    return re.split(r"[ \t]#", value, maxsplit=1)[0].strip().rstrip(",;")


def _unescaped(value: str) -> str:
    return (
        value.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").replace('\\"', '"').replace("\\\\", "\\")
    )


def _of_assignment(name: str, value: str, *, everything: bool) -> Iterator[str]:
    """The value if its name says that it is secret; with `everything`, also if it only looks like it."""
    value = value.strip()
    yield from _strings(_URL_PASSWORD.findall(value))
    if value.startswith(("$", "%(", "<", "{{")) or "${" in value:
        return
    named = _SECRET_NAME.search(name) is not None and _NO_SECRET_NAME.search(name) is None
    if not (named or (everything and _LOOKS_MADE.fullmatch(value))):
        return
    # The name of a file is where a secret is, not what it is.
    if value.startswith(("/", "~", "./", "C:\\")) and (not _DIGIT.search(value) or os.path.exists(value)):
        return
    yield value
    scheme, blank, rest = value.partition(" ")
    if blank and scheme.lower() in ("bearer", "basic", "token"):
        yield rest
    if name.lower().endswith(("auth", "_password")):
        yield from _of_basic(value)


def _of_basic(value: str) -> Iterator[str]:
    """The password within `user:password` in base64."""
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield text.partition(":")[2] if ":" in text else text


def _of_json(text: str) -> Iterator[str]:
    try:
        pending: list[tuple[str, Any]] = [("", json.loads(text))]
    except (ValueError, RecursionError):
        return
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending += [(str(key), item) for key, item in cast(dict[Any, Any], value).items()]
        elif isinstance(value, list):
            pending += [(name, item) for item in cast(list[Any], value)]
        elif isinstance(value, str):
            yield from _of_assignment(name, value, everything=False)
            if name == "auth":
                yield from (value, *_of_basic(value))
