"""What tests run, seen from outside: without a change to the command that was agreed to, nor to what it prints.

Python: `tracer.py` by way of PYTHONPATH. Node: NODE_V8_COVERAGE, which it has built in. Anything else that is changed:
whether it was read, by the time that the file system keeps of that, where it keeps one.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hearth.core.task_cover import Range, Traced

TRACER = Path(__file__).with_name("tracer.py")
REPORTS_MAX = 400
REPORT_BYTES_MAX = 30_000_000
LINES_BYTES_MAX = 20_000_000
RANGES_MAX = 100_000
"""Where one of these limits is reached, nothing is claimed of that language."""
AGO_NS = 48 * 3600 * 10**9
"""Reading is noted where the last one lies before the last change, or a day back."""
SOURCE_NOTE = "\n\n//# sourceURL="
SEEN_THROUGH = ("node", "mocha", "python", "pytest", "py.test")
"""Runners whose tests run the files as they are, in processes that are seen."""


class Probe:
    """For one copy. `place`: a folder of its own, which must not be there. Blocks: for a thread."""

    def __init__(self, place: Path, copy: Path, changed: Iterable[str]) -> None:
        self.place = place
        self._copy = Path(os.path.realpath(copy))
        self._paths = [path for path in sorted(changed) if (self._copy / path).is_file()]
        self._whole = True
        self._ran = False
        self._unclear = False
        (place / "load").mkdir(parents=True, mode=0o700)
        (place / "node").mkdir(mode=0o700)
        (place / "load" / "sitecustomize.py").write_text(TRACER.read_text(encoding="utf-8"), encoding="utf-8")
        files = "\n".join(str(self._copy / path) for path in self._paths)
        (place / "files").write_text(files, encoding="utf-8")
        self._times: dict[str, int | None] = {}
        self._read: set[str] = set()

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """What a command is given beside its own."""
        path = os.pathsep.join(part for part in (str(self.place / "load"), env.get("PYTHONPATH", "")) if part)
        cover = {"HEARTH_COVER": str(self.place), "NODE_V8_COVERAGE": str(self.place / "node")}
        return {**env, "PYTHONPATH": path, **cover}

    def begin(self) -> None:
        """A command is about to run."""
        self._times = {path: _set_back(self._copy / path) for path in self._paths}

    def ran(self, argv: Sequence[str]) -> None:
        """It has run to its end."""
        self._read.update(path for path, old in self._times.items() if _read_since(self._copy / path, old))
        name = os.path.basename(argv[0]).removesuffix(".exe")
        self._ran = True
        self._whole = self._whole and name.startswith(SEEN_THROUGH)

    def unclear(self) -> None:
        """A command did something else than it does where nobody looks: nothing is claimed."""
        self._unclear = True

    def traced(self) -> Traced | None:
        """What was seen; None if nothing ran."""
        if self._unclear:
            return Traced(whole=False)
        if not self._ran:
            return None
        lines, lost = self._lines()
        scripts, some_lost = self._scripts()
        return Traced(lines, scripts, self._files(), self._whole and not lost and not some_lost)

    def _lines(self) -> tuple[dict[str, frozenset[int]], bool]:
        try:
            with open(self.place / "lines", "rb") as stream:
                text = stream.read(LINES_BYTES_MAX + 1).decode("ascii", "replace")
        except OSError:
            text = ""
        found: dict[str, set[int]] = {}
        for entry in text.split("\n"):
            number, _, line = entry.partition(":")
            if number.isdecimal() and line.isdecimal() and int(number) < len(self._paths):
                found.setdefault(self._paths[int(number)], set()).add(int(line))
        lost = "!lost" in text or len(text) > LINES_BYTES_MAX
        # Somebody else's tracing may have missed what ours missed, too: then nothing is claimed of Python.
        return ({} if lost else {path: frozenset(rows) for path, rows in found.items()}), lost

    def _scripts(self) -> tuple[dict[str, tuple[tuple[Range, ...], ...]], bool]:
        """The ranges by path; and whether there was more than is read, then without any."""
        known = {str(self._copy / path): path for path in self._paths}
        found: dict[str, list[tuple[Range, ...]]] = {}
        reports = sorted((self.place / "node").glob("*.json"))
        lost = len(reports) > REPORTS_MAX
        for report in reports[:REPORTS_MAX]:
            try:
                if report.stat().st_size > REPORT_BYTES_MAX:
                    lost = True
                    continue
                told = cast(dict[str, Any], json.loads(report.read_bytes()))
                for script in cast(list[dict[str, Any]], told["result"]):
                    url = urlsplit(str(script["url"]))
                    path = known.get(os.path.realpath(url2pathname(url.path))) if url.scheme == "file" else None
                    if path is not None:
                        found.setdefault(path, []).append(self._ranges(path, script))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        lost = lost or any(len(ranges) > RANGES_MAX for each in found.values() for ranges in each)
        return ({} if lost else {path: tuple(ranges) for path, ranges in found.items()}), lost

    def _ranges(self, path: str, script: dict[str, Any]) -> tuple[Range, ...]:
        found: list[Range] = []
        for function in cast(list[dict[str, Any]], script["functions"]):
            for one in cast(list[dict[str, int]], function["ranges"]):
                found.append((int(one["startOffset"]), int(one["endOffset"]), int(one["count"])))
        text = (self._copy / path).read_text(encoding="utf-8", errors="replace")
        length = len(text) + sum(char > "\uffff" for char in text)
        # Where Node takes the types out it puts blanks in their place, and this behind it.
        longer = length + len(SOURCE_NOTE) + len(script["url"])
        return tuple((start, length if end == longer else end, count) for start, end, count in found)

    def _files(self) -> frozenset[str] | None:
        """The files that were read since they were set back; None where that is not kept."""
        mark = self.place / "mark"
        mark.write_text("x", encoding="utf-8")
        before = _set_back(mark)
        mark.read_bytes()
        if before is None or mark.stat().st_atime_ns == before:
            return None
        return frozenset(self._read)


def _set_back(path: Path) -> int | None:
    """The time of the last reading put before that of the last change; what it is then."""
    try:
        changed = path.stat().st_mtime_ns
        os.utime(path, ns=(changed - AGO_NS, changed))
        return path.stat().st_atime_ns
    except OSError:
        return None


def _read_since(path: Path, old: int | None) -> bool:
    try:
        return old is not None and path.stat().st_atime_ns != old
    except OSError:
        return True
