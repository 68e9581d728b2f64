"""What is shown of what models say: the cases of tests/data/filters, passed of all, by behaviour.

Each case is a document with the cursor marked, a model's text, and what the user must see of it; it passes if that is
what comes out when the text arrives whole and when it arrives in pieces.
"""

import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from filter_cases import Case, load, shown  # noqa: E402

PIECES = (0, 1, 5)


def passes(case: Case) -> bool:
    results = {shown(case, pieces) for pieces in PIECES}
    if len(results) != 1:
        return False
    text, decided_by = results.pop()
    return text == case.shows and case.given.get("by", decided_by) == decided_by


def rows() -> list[tuple[str, str, str]]:
    total: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    languages: set[str] = set()
    for case in load():
        good = passes(case)
        languages.add(case.language)
        for key in (case.behaviour, "all"):
            total[key] += 1
            passed[key] += good
    order = sorted(total, key=lambda key: (key == "all", key))
    name = {"all": f"all behaviours, in {len(languages)} languages"}
    return [(name.get(key, key), "all", f"{passed[key]} / {total[key]}") for key in order]


if __name__ == "__main__":
    for row in rows():
        print(*row, sep="\t")
