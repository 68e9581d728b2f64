"""A copy of a workspace with a task's changes, outside of it: where checks run, and what is removed after them.

Never hard links: what is written into one is written into the user's file. Links are not followed and not copied, files
of secrets stay where they are. What a package manager installed is not copied either; `node_modules` is a folder of
links to what is in the original's, which checks can read.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from errno import ENOENT
from pathlib import Path

from hearth.core.deny import is_secret

COPY_FILES_MAX = 30_000
COPY_BYTES_MAX = 600_000_000
FILE_BYTES_MAX = 50_000_000
LINKS_MAX = 5_000

LEFT_OUT = frozenset(
    {
        ".git", ".hg", ".svn", ".venv", "venv", "virtualenv", "__pycache__", ".tox", ".nox", ".mypy_cache", ".cache",
        ".pytest_cache", ".ruff_cache", ".hypothesis", ".eggs", ".gradle", ".idea", ".vs", ".next", ".nuxt", ".turbo",
        ".svelte-kit", ".terraform", ".parcel-cache", "target", "htmlcov", ".pnpm-store",
    }
)  # fmt: skip
MODULES = "node_modules"
GONE = "gone"
"""What the name of a folder ends with that is being removed."""


class TooLarge(Exception):
    """The workspace is larger than what is copied."""


def copied(root: Path, target: Path, changes: Mapping[str, str | None]) -> None:
    """Make the copy at `target`, which must not be there. Blocks: for a thread. Raises OSError, TooLarge."""
    files = size = 0
    target.mkdir(mode=0o700)
    for kind, path, length in _found(root):
        destination = target / path
        if kind == "folder":
            destination.mkdir(exist_ok=True)
        elif kind == "modules":
            _linked(root / path, destination)
        elif path not in changes:
            files, size = files + 1, size + length
            if files > COPY_FILES_MAX or size > COPY_BYTES_MAX:
                raise TooLarge
            shutil.copy2(root / path, destination, follow_symlinks=False)
    for path, text in changes.items():
        if text is not None:
            destination = target / path
            if not target.is_dir():
                raise FileNotFoundError(ENOENT, "it was removed meanwhile", str(target))
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(text.encode("utf-8", "replace"))
            _keep_mode(root / path, destination)


def _keep_mode(original: Path, copy: Path) -> None:
    try:
        mode = os.stat(original, follow_symlinks=False).st_mode
    except OSError:
        return
    if stat.S_ISREG(mode):
        copy.chmod(stat.S_IMODE(mode) & 0o777)


def _found(root: Path) -> Iterator[tuple[str, str, int]]:
    """Folders before what is in them: (folder | modules | file, relative path, size)."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                inside = list(entries)
        except OSError:
            continue
        for entry in inside:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink() or is_secret(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name == MODULES:
                    yield "modules", path, 0
                elif entry.name not in LEFT_OUT and not os.path.lexists(f"{root}/{path}/pyvenv.cfg"):
                    yield "folder", path, 0
                    waiting.append(path)
            elif entry.is_file(follow_symlinks=False):
                length = entry.stat(follow_symlinks=False).st_size
                if length <= FILE_BYTES_MAX:
                    yield "file", path, length


def _linked(modules: Path, target: Path) -> None:
    target.mkdir()
    with os.scandir(modules) as entries:
        for count, entry in enumerate(entries):
            if count >= LINKS_MAX:
                raise TooLarge
            (target / entry.name).symlink_to(modules / entry.name)


def removed(target: Path) -> None:
    """Remove a copy; one that is still being made goes no further. Links in it are removed, never what they lead to."""
    doomed = target.with_name(f"{target.name}.{GONE}")
    try:
        os.replace(target, doomed)
    except OSError:
        doomed = target
    shutil.rmtree(doomed, ignore_errors=True)
    if doomed.exists():
        # What a check made unreadable is made ours again.
        for folder, _, _ in os.walk(doomed):
            os.chmod(folder, 0o700)
        shutil.rmtree(doomed, ignore_errors=True)
