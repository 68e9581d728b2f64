"""Definitions that a change takes away without a word of it in the goal or in the plan.

Where something still uses them, that is found anyway (`core.task_findings`), and tests may miss them. What is left is
what others may use: nothing in the project notices that it is gone. It may be meant so: it is asked about, not insisted
on, and stands in the certificate.
"""

from collections.abc import Iterable, Iterator

from hearth.core.grammars import language_of
from hearth.core.patch_loss import lost
from hearth.core.task_state import Finding
from hearth.core.task_survey import DATA, PROSE, Survey, is_test

GONE_MAX = 6
"""Of one file: of more the last one says how many."""


def lost_findings(before: Survey, after: Survey, changed: Iterable[str], told: str) -> Iterator[Finding]:
    """What the changed files define no longer, and no other file does. `told`: the words in which it may have been
    said. A file that goes as a whole is seen to go, and what begins with an underscore is nobody else's business."""
    for path in changed:
        language = language_of(path)
        if path not in before.texts or path not in after.texts or is_test(path) or language in PROSE | DATA:
            continue
        loss = lost(language, before.texts[path], after.texts[path], told, written_out=True)
        names = [name for name in loss.unsaid if _public(name) and not after.definitions(_last(name))]
        for number, name in enumerate(names[:GONE_MAX], 1):
            more = f" (and {len(names) - number} more)" if number == GONE_MAX < len(names) else ""
            yield Finding("gone", path, f"`{name}`{more} is defined nowhere any more, and nobody said that it is to go")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))
