"""The files in which the embedded engine keeps what it has read of a prompt, so that a restart need not read it again.

llama.cpp ends its process when such a file is cut short, and believes whatever else it says. So a file counts only with
a seal: its digest in a second file, written once the first is complete. The seal is broken while the engine reads the
file and put back when that went well: a file that ends the engine does so once. Everything here blocks; call it in a
thread.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

FILES_MAX = 16
BYTES_MAX = 2_000_000_000
FREE_BYTES_MIN = 1_000_000_000
"""Nothing is saved on a disk that has less than that."""
UNFINISHED = ".part"
STATE = ".state"
SEAL = ".seal"


class States:
    """The folder of states. `fingerprint`: the model and whatever else must be the same when a state is read back."""

    def __init__(self, folder: Path, fingerprint: str, *, free_bytes_min: int = FREE_BYTES_MIN) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._free_bytes_min = free_bytes_min

    def prepare(self) -> bool:
        """Make the folder and clean it up; False if states cannot be kept there."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            self._prune()
        except OSError:
            return False
        return os.access(self._folder, os.W_OK)

    def begin(self, name: str) -> str | None:
        """The file name for the engine to write to; None where nothing may be written."""
        try:
            if shutil.disk_usage(self._folder).free < self._free_bytes_min:
                return None
        except OSError:
            return None
        return f"{self._stem(name)}.{os.getpid()}{UNFINISHED}"

    def keep(self, name: str, size: int) -> bool:
        """The engine has written `size` bytes: put the file in its place and seal it. False if it is not whole."""
        stem = self._stem(name)
        part = self._folder / f"{stem}.{os.getpid()}{UNFINISHED}"
        try:
            if part.stat().st_size != size:
                part.unlink()
                return False
            digest = _digest(part)
            self._seal(stem).unlink(missing_ok=True)
            part.replace(self._folder / f"{stem}{STATE}")
            self._write_seal(stem, digest)
            self._prune()
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            return False
        return True

    def give_up(self, name: str) -> None:
        """The engine did not write it."""
        with suppress(OSError):
            (self._folder / f"{self._stem(name)}.{os.getpid()}{UNFINISHED}").unlink(missing_ok=True)

    def unseal(self, name: str) -> tuple[str, str] | None:
        """(file name for the engine to read, its digest) if there is a whole one."""
        stem = self._stem(name)
        path = self._folder / f"{stem}{STATE}"
        try:
            wanted = self._seal(stem).read_text("ascii").strip()
            self._seal(stem).unlink()
            if _digest(path) == wanted:
                return path.name, wanted
            path.unlink()
        except (OSError, ValueError):
            pass
        return None

    def reseal(self, name: str, digest: str) -> None:
        """The engine has read it: it may be read again."""
        stem = self._stem(name)
        with suppress(OSError):
            os.utime(self._folder / f"{stem}{STATE}")
            self._write_seal(stem, digest)

    def _stem(self, name: str) -> str:
        return hashlib.sha256(f"{self._fingerprint}\0{name}".encode("utf-8", "replace")).hexdigest()[:32]

    def _seal(self, stem: str) -> Path:
        return self._folder / f"{stem}{SEAL}"

    def _write_seal(self, stem: str, digest: str) -> None:
        part = self._folder / f"{stem}{SEAL}.{os.getpid()}{UNFINISHED}"
        part.write_text(digest, "ascii")
        part.replace(self._seal(stem))

    def _prune(self) -> None:
        """Leave the newest states, as many as are allowed, and nothing that another window may be writing now."""
        sizes = {path: path.stat() for path in self._folder.iterdir() if path.suffix in (STATE, UNFINISHED)}
        total = 0
        for count, path in enumerate(sorted(sizes, key=lambda path: sizes[path].st_mtime, reverse=True), start=1):
            total += sizes[path].st_size
            if count > FILES_MAX or total > BYTES_MAX:
                path.unlink(missing_ok=True)
                path.with_suffix(SEAL).unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()
