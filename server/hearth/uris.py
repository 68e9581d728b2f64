"""Documents are named by URIs, files by paths."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit


def path_of(uri: str) -> Path | None:
    """The path of a `file:` URI, None for others."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != "file":
        return None
    path = unquote(parts.path)
    if os.name == "nt":
        path = path.lstrip("/")
    try:
        return Path(path) if path and "\0" not in path and os.fsencode(path) else None
    except UnicodeEncodeError:
        return None  # half a surrogate pair: no file has such a name
