"""Files for an index, made of chunks that a test names."""

import random
from collections.abc import Sequence

from hearth.core.facts import Chunk, Facts
from hearth.index.manifest import FileEntry


def entry(path: str, texts: Sequence[str], mtime_ns: int = 1) -> FileEntry:
    chunks = tuple(Chunk(n, n + 1, text, "f") for n, text in enumerate(texts))
    uids = tuple(uid_of(path, text) for text in texts)
    return FileEntry(path, b"d", 1, mtime_ns, "python", Facts(chunks=chunks), uids)


def uid_of(path: str, text: str) -> int:
    return random.Random(f"{path}\0{text}").getrandbits(60)
