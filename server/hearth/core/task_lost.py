"""Definitions that a change takes away without a word of it in the goal or in the plan.

Where something still uses them, that is found anyway (`core.task_findings`), and tests may miss them. What is left is
what others may use: nothing in the project notices that it is gone. It may be meant so: it is asked about, not insisted
on, and stands in the certificate. Fields, members of enums and what a module only hands on are not looked at.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from hearth.core.facts import Symbol
from hearth.core.grammars import language_of
from hearth.core.patch_loss import REMOVE, asked_in_general, lost
from hearth.core.patch_syntax import outlined
from hearth.core.task_parts import Step
from hearth.core.task_state import Finding
from hearth.core.task_survey import DATA, PROSE, Survey, is_test

GONE_MAX = 20
"""Of one file."""
FRESH_MAX = 200
"""New definitions in which the lines of one that is gone are looked for."""
SHARED_MIN = 0.5
"""Of its lines: then it has another name or place now."""
_SENTENCE = re.compile(r"[.;!?]+(?:\s|$)|\n")
_WORD = re.compile(r"\w+")
_GOES = re.compile(
    rf"\b(?:{REMOVE}|unif|renam|mov(?:e|ing)|split|extract|renomm|d[eé]plac|renombr|muev|umbenenn|verschieb|unused"
    r"|obsolet|deprecat|superfluous|(?:no longer|not|never) (?:need|us|call|read))",
    re.IGNORECASE,
)
"""With a definition's name in the same sentence: it is to go from where it is."""
_BECOMES = (
    r"\b(?:replac|remplac|reemplaz|ersetz)\w*\s+(?:\w+\s+){{0,2}}?[`'\"]?{0}\b"
    r"|\b(?:turn|convert|chang|mak)\w*\s+(?:\w+\s+){{0,2}}?[`'\"]?{0}\b[`'\"]?\s+(?:in)?to\s+(?:an?|the|one)\b"
)
"""It is to be something else; "convert it to use that" says nothing of the kind."""
_REMADE = re.compile(r"\b(?:turn|convert|mak|replac|simplif|rewrit|collaps|flatten)", re.IGNORECASE)
"""With a class's name: its members may be others then."""


def lost_findings(
    before: Survey, after: Survey, changed: Sequence[str], goal: str, steps: Iterable[Step] = ()
) -> Iterator[Finding]:
    """What the changed files define no longer, under whatever name and place. What a step says counts for its own
    files. A file that goes as a whole is seen to go, and what begins with an underscore is nobody else's business."""
    fresh: list[tuple[str, Symbol]] | None = None
    for path in changed:
        if path not in before.texts or path not in after.texts or not _is_code(path):
            continue
        language = language_of(path)
        loss = lost(language, before.texts[path], after.texts[path], "", written_out=True)
        said = [*_sentences(goal), *(part for step in steps if path in step.files for part in _sentences(step.title))]
        bound = outlined(language, after.texts[path]).names if loss.unsaid else frozenset[str]()
        names = [name for name in loss.unsaid if _public(name) and name not in bound and not _told(name, said)]
        for name in names[:GONE_MAX]:
            if fresh is None:
                fresh = list(_fresh(before, after, changed))
            if not _elsewhere(before, path, name, fresh, after):
                text = f"`{name}` is defined nowhere any more, and nobody said that it is to go"
                yield Finding("gone", path, text)


def _is_code(path: str) -> bool:
    return not is_test(path) and language_of(path) not in PROSE | DATA


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.split(text) if part.strip()]


def _public(name: str) -> bool:
    return not any(part.startswith("_") and not part.endswith("__") for part in name.split("."))


def _told(name: str, said: Iterable[str]) -> bool:
    """Whether any of the sentences explains that a definition goes."""
    container, _, last = name.rpartition(".")
    for sentence in said:
        words = set(_WORD.findall(sentence))
        if asked_in_general(sentence):
            return True
        if last in words and (_GOES.search(sentence) or re.search(_BECOMES.format(re.escape(last)), sentence, re.I)):
            return True
        if container and words & {*container.split(".")} and (_GOES.search(sentence) or _REMADE.search(sentence)):
            return True
    return False


def _fresh(before: Survey, after: Survey, changed: Iterable[str]) -> Iterator[tuple[str, Symbol]]:
    """The definitions of the change's code that its files had not, or had fewer of."""
    for path in changed:
        if path in after.texts and _is_code(path):
            had = Counter(one.name for one in before.facts(path).symbols) if path in before.texts else Counter[str]()
            for one in after.facts(path).symbols:
                had[one.name] -= 1
                if had[one.name] < 0:
                    yield path, one


def _elsewhere(before: Survey, path: str, name: str, fresh: Sequence[tuple[str, Symbol]], after: Survey) -> bool:
    """Whether one of the new definitions is this one, by its name or by its lines. A variable in small letters that is
    gone is nobody's loss."""
    last = name.rpartition(".")[2]
    if any(one.name == last for _, one in fresh):
        return True
    own = next((one for one in before.facts(path).symbols if one.name == last), None)
    if own is None or own.kind in ("constant", "variable"):
        return not last.isupper()
    lines = _lines(before.texts[path], own)
    for where, one in fresh[:FRESH_MAX]:
        shared = lines & _lines(after.texts[where], one)
        if shared.total() >= SHARED_MIN * max(1, lines.total()):
            return True
    return False


def _lines(text: str, one: Symbol) -> Counter[str]:
    """Its lines, without its name."""
    own = re.compile(rf"\b{re.escape(one.name)}\b")
    lines = text.split("\n")[one.start : one.end]
    return Counter(own.sub("", line).strip() for line in lines if _WORD.search(line))
