"""The cases of tests/data/filters: a document with the cursor marked, what a model says there, and what is shown.

One file per language. `given` may hold the user's settings and what they did (`deleted`, `invoked`, `in_comments`,
`in_strings`), and `by`: "gate" where the model must not even be asked.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.core.candidate import Site, Trimmer
from hearth.core.check import checked
from hearth.core.dialect import DIALECTS
from hearth.core.gate import gate
from hearth.core.syntax import closers_missing, context_at, window_at
from hearth.core.text import Snapshot
from hearth.gather import spot_at

FOLDER = Path(__file__).resolve().parent / "data" / "filters"
MAX_LINES = 12
_FOR_GATE = ("invoked", "deleted", "in_comments", "in_strings")


@dataclass(frozen=True)
class Case:
    language: str
    number: int
    behaviour: str
    at: str
    says: str
    shows: str
    given: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.language}-{self.number}-{self.behaviour}"


def load() -> list[Case]:
    """Every case, in the order of the files' names."""
    return [
        Case(path.stem, number, raw["behaviour"], raw["at"], raw["says"], raw["shows"], raw.get("given", {}))
        for path in sorted(FOLDER.glob("*.json"))
        for number, raw in enumerate(json.loads(path.read_text(encoding="utf-8")), 1)
    ]


def shown(case: Case, pieces: int = 0) -> tuple[str, str]:
    """(what the user sees, who decided: "gate", "model" or "check"), with the stream cut into `pieces` characters."""
    before, after = case.at.split("█")
    snapshot = Snapshot.of(before + after, uri="file:///case", language=case.language)
    spot = spot_at(snapshot, snapshot.position_at(len(before)))
    window = window_at(snapshot, spot.position)
    above, below = spot.above_nonblank, spot.below[0] if spot.below else ""
    decision = gate(
        spot.line_before,
        spot.line_after.rstrip(),
        above,
        below,
        case.language,
        context=context_at(window) if window else None,
        blank_above=bool(spot.above) and not spot.above[-1].strip(),
        **{key: value for key, value in case.given.items() if key in _FOR_GATE},
    )
    if decision.silent:
        return "", "gate"
    site = Site(
        language=case.language,
        line_before=spot.line_before,
        line_after=spot.line_after,
        above=spot.above,
        below=spot.below,
        extent=decision.extent,
        max_lines=MAX_LINES,
        leaks=DIALECTS["qwen"].tokens,
        quote=decision.quote,
        missing=lambda text: window is not None and closers_missing(window, text),
    )
    trimmer = Trimmer(site)
    step = pieces or max(1, len(case.says))
    for start in range(0, len(case.says), step):
        if trimmer.feed(case.says[start : start + step]) == "stop":
            break
    candidate = trimmer.finish("stop")
    if not candidate.text:
        return "", "model"
    verdict = checked(site, candidate, window)
    return verdict.text, "model" if verdict.ok else "check"
