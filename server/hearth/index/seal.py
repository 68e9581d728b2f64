"""A checksum of a folder that is not in use, so that damage is found before native code meets it.

Of files with holes only what is written is read, and the digest is the same for a copy that has zeros in their place.
Of large files only the beginning is read: that is where layouts are described, and opening must not take seconds.
"""

import hashlib
import os
from collections.abc import Iterator
from io import FileIO
from itertools import islice
from pathlib import Path

BLOCK_BYTES = 64 * 1024
DIGEST_BYTES = 16
READ_BYTES_MAX = 4 * 1024 * 1024
"""Of each file, without zeros."""
_ZEROS = bytes(BLOCK_BYTES)


def digest_of(folder: Path, without: str) -> bytes:
    """Of the names, sizes and contents of all files but `without`. Raises OSError."""
    whole = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name == without:
            continue
        with path.open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            whole.update(f"{len(name)} {name} {size}\n".encode("utf-8", "surrogateescape"))
            for at, block in islice(_blocks(stream, size), READ_BYTES_MAX // BLOCK_BYTES):
                whole.update(at.to_bytes(8, "little") + block)
    return whole.digest()


def _blocks(stream: FileIO, size: int) -> Iterator[tuple[int, bytes]]:
    """(place, content) of the blocks that are not all zeros."""
    for at in _written(stream.fileno(), size):
        stream.seek(at)
        block = stream.read(BLOCK_BYTES)
        if block != _ZEROS[: len(block)]:
            yield at, block


def _written(file: int, size: int) -> Iterator[int]:
    """Where the blocks begin that have anything but holes, as far as the platform tells."""
    at = 0
    while at < size:
        if hasattr(os, "SEEK_DATA"):
            try:
                at = os.lseek(file, at, os.SEEK_DATA)
            except OSError:  # nothing but holes from there on
                return
        at -= at % BLOCK_BYTES
        yield at
        at += BLOCK_BYTES
