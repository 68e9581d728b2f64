"""What is wrong with a change, as far as texts tell: it does not parse, uses names that are gone, imports what is
nowhere, or weakens tests. This is what finds the file that a model forgot.

In doubt nothing is found: each finding is put before a model as something to put right. A name is gone if it was
defined in a file that changed and is defined nowhere now. A name that says much (`parse_header`) is then looked for as
a word everywhere, documentation and configuration too; one that says little (`run`) only where it is taken from the
file by an import, or called on something in a file that imports it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from hearth.core.facts import Import
from hearth.core.grammars import language_of
from hearth.core.impact import hands_on
from hearth.core.patch_syntax import broken_line, parses
from hearth.core.task_lost import lost_findings
from hearth.core.task_names import name_findings
from hearth.core.task_parts import Step
from hearth.core.task_reach import literals
from hearth.core.task_state import Finding
from hearth.core.task_survey import DATA, PROSE, Survey, is_test, telling

FINDINGS_MAX = 60
PLACES_PER_FILE_MAX = 3
NAME_CHARS_MIN = 3
LINE_CHARS_MAX = 120
IMPORTING = frozenset(("python", "typescript", "typescriptreact", "javascript", "javascriptreact"))
"""Languages in which an import says which names it takes."""

GONE_PLACES_MAX = 4
"""Files that still hold a text: of more it is a word like any other."""

_NAMED = re.compile(r"`([^`]+)`")
_HISTORY = re.compile(
    r"(?:^|/)(?:changelog|changes|history|news|releases?|upgrading|migrating)[^/]*$|(?:^|/)(?:migrations?|alembic)/",
    re.IGNORECASE,
)
"""Files that speak of what was."""
_RENAME = re.compile(
    r"\brenam(?:e|ed|es|ing)\s+(?:the\s+|our\s+)?(?:\w+\s+){0,3}?[`'\"]?([^\W\d][\w.]*)(?:\(\))?[`'\"]?"
    r"\s+(?:to|into|as|->|→)\s+"
    r"[`'\"]?([^\W\d][\w.]*)",
    re.IGNORECASE,
)
_BINDING = (
    r"(?:^|[^\w$.]){0}\s*(?::[^=\n]{{1,80}})?=(?!=)|^\s*{0}\s*[,:]"
    r"|\b(?:for|as|def|class|function|let|const|var|lambda|except|catch|import|global|nonlocal|case)\b[^\n]*\b{0}\b"
    r"|\b{0}\b[^()\n]*\)?\s*=>"
)
"""Wherever a name may be given a meaning, in doubt too many places."""
_TESTS = re.compile(
    r"^\s*(?:async\s+)?def\s+test\w*|^\s*func\s+Test\w+|^\s*(?:it|test)(?:\.each\([^)]*\))?\s*\("
    r"|@(?:Test|ParameterizedTest)\b"
    r"|#\[(?:tokio::)?test\]|^\s*\[(?:Fact|Theory|Test|TestMethod)\b|^\s*it\s+['\"]",
    re.MULTILINE,
)
_ASSERTS = re.compile(
    r"\bassert\w*!?\b|\bexpect\s*\(|\brequire\.\w+\(|\bpytest\.raises\b|\bt\.(?:Error|Fatal|Fail)\w*\(|\.should\b"
)
_EMPTY_ASSERTS = re.compile(
    r"\bassert\s+(?:True|1|not\s+False)\b(?!\s*(?:==|!=|<|>|\.|\())|\bassert\w*\(\s*(?:true|True|1)\s*\)"
    r"|\bexpect\(\s*(?:true|1)\s*\)\.to\w+\(\s*(?:true|1)?\s*\)|\bassert\s+(\w+)\s*==\s*\1\s*$",
    re.MULTILINE,
)
_SKIPS = re.compile(
    r"\bskip(?:if|If|_if|Test|Unless)?\b|\bxfail\b|\bexpectedFailure\b|\b(?:it|test|describe)\.(?:skip|todo|only)\b"
    r"|\bx(?:it|describe|test)\s*\(|@(?:Ignore|Disabled)\b|#\[ignore|\bt\.Skip\w*\("
)


@dataclass(frozen=True, slots=True)
class _Gone:
    """A name that is gone, and the files that defined it."""

    name: str
    files: frozenset[str]
    member: bool


def findings(
    before: Survey, after: Survey, changed: Iterable[str], goal: str = "", steps: Sequence[Step] = ()
) -> list[Finding]:
    """Everything that is wrong with `after`, and was not with `before`. `changed`: the paths in which they differ.
    `steps`: what the user agreed to."""
    paths = sorted(changed)
    found: list[Finding] = []
    found += _broken(before.texts, after.texts, paths)
    found += _imports(before, after, paths)
    found += _stale(before, after, paths)
    found += _unbound(before, after, paths)
    found += _still_there(before, after, goal)
    found += _texts_gone(before.texts, after.texts, paths)
    named = {(one.path, name) for one in found for name in _NAMED.findall(one.text)}
    for one in name_findings(before, after, paths, goal):
        if not named.intersection((one.path, name) for name in _NAMED.findall(one.text)[:1]):
            found.append(one)
    found += lost_findings(before, after, paths, goal, steps)
    found += weakened(before.texts, after.texts, paths)
    return list({one.key: one for one in found}.values())[:FINDINGS_MAX]


def _broken(before: Mapping[str, str], after: Mapping[str, str], paths: Iterable[str]) -> Iterator[Finding]:
    for path in paths:
        text, language = after.get(path), language_of(path)
        if text is None or parses(language, text) is not False:
            continue
        if path in before and parses(language, before[path]) is False:
            continue
        line = broken_line(language, text)
        yield Finding("parse", path, f"this does not parse: {_line(text, line)}", line)


def _line(text: str, number: int) -> str:
    lines = text.split("\n")
    return lines[number].strip()[:LINE_CHARS_MAX] if 0 <= number < len(lines) else ""


# Imports


def _imports(before: Survey, after: Survey, paths: list[str]) -> Iterator[Finding]:
    """Imports of files and names that are no longer there."""
    changed = set(paths)
    concerned = [
        path
        for path in sorted(after.texts)
        if language_of(path) in IMPORTING
        and (path in changed or changed.intersection(before.imports.get(path, ())) or _may_lose(after, path, changed))
    ]
    for path in concerned:
        known = {(one.module, one.names) for one in before.facts(path).imports}
        for one in after.facts(path).imports:
            yield from _import(before, after, path, one, old=(one.module, one.names) in known, changed=changed)


def _may_lose(after: Survey, path: str, changed: set[str]) -> bool:
    return bool(changed.intersection(after.imports.get(path, ())))


def _import(
    before: Survey, after: Survey, path: str, one: Import, *, old: bool, changed: set[str]
) -> Iterator[Finding]:
    now = after.resolver.files(path, [one])
    then = before.resolver.files(path, [one]) if old else ()
    if not now:
        if then:
            yield Finding("import", path, f"imports `{one.module}`, which is gone", one.line)
        elif not old and _ours(one.module, path, after):
            yield Finding("import", path, f"imports `{one.module}`, which is nowhere", one.line)
        return
    if old and not changed.intersection((*now, *then)):
        return
    for name, _ in one.names:
        if name in ("*", "default", "") or _offers(after, path, now, one, name):
            continue
        if old and then and not _offers(before, path, then, one, name):
            continue  # it was like this before
        yield Finding("import", path, f"imports `{name}` from `{one.module}`, where it is not defined", one.line)


def _ours(module: str, path: str, survey: Survey) -> bool:
    """Whether a module that was not found must be one of the project's."""
    if module.startswith("."):
        ending = module.rpartition("/")[2].rpartition(".")[2] if "/" in module else ""
        bare = "." not in module.lstrip("./")
        return language_of(path) == "python" or ending in ("", "js", "ts", "jsx", "tsx") or bare
    top = module.split(".")[0]
    if language_of(path) != "python" or not top:
        return False
    return any(f"/{one}".find(f"/{top}/") >= 0 and one.endswith(".py") for one in survey.texts)


def _offers(survey: Survey, path: str, targets: Iterable[str], one: Import, name: str) -> bool:
    """Whether a name can be taken out of any of the files that an import means."""
    for target in targets:
        if language_of(target) not in IMPORTING:
            return True
        facts = survey.facts(target)
        if any(symbol.name == name and not symbol.container for symbol in facts.symbols):
            return True
        if any(name == here or here == "*" for other in facts.imports for _, here in other.names):
            return True
        if any(other.names == () and (other.alias or other.module) == name for other in facts.imports):
            return True
        stem = target.rpartition("/")[2].partition(".")[0]
        if stem == name or re.search(r"\b__getattr__\b|\bexport\s+\*|\bglobals\(\)", survey.texts[target]):
            return True
        own = re.escape(name)
        if re.search(rf"^\s*(?:{own}\s*[:=]|export\s*\{{[^}}]*\b{own}\b)", survey.texts[target], re.MULTILINE):
            return True
    # What is taken out of a package may be a module of it.
    packages = [_folder(target) for target in targets if hands_on(target)]
    ends = (f"{name}.py", f"{name}/__init__.py", *(f"{name}{ending}" for ending in (".ts", ".js", ".tsx", ".jsx")))
    return any(f"{folder}/{end}".lstrip("/") in survey.texts for folder in packages for end in ends)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


# Names that are gone


def _stale(before: Survey, after: Survey, paths: list[str]) -> Iterator[Finding]:
    for gone in _gone(before, after, paths):
        word = re.compile(rf"(?<![\w$]){re.escape(gone.name)}(?![\w$])")
        for path in sorted(after.texts):
            if _HISTORY.search(path) or not word.search(after.texts[path]):
                continue
            yield from list(_uses(before, after, gone, path, word))[:PLACES_PER_FILE_MAX]


def _gone(before: Survey, after: Survey, paths: list[str]) -> list[_Gone]:
    found: dict[str, _Gone] = {}
    common = cast(frozenset[str], import_module("hearth.core.repomap").COMMON_NAMES)
    for path in paths:
        if language_of(path) in PROSE or path not in before.texts:
            continue
        data = language_of(path) in DATA
        for symbol in before.facts(path).symbols:
            name = symbol.name
            if len(name) < NAME_CHARS_MIN or name.startswith("__") or name in found:
                continue
            if (data or symbol.kind in ("key", "selector", "heading")) and not telling(name):
                continue
            if name in common and not telling(name):
                continue
            if not after.definitions(name):
                there = frozenset(where for where, _ in before.definitions(name))
                found[name] = _Gone(name, there, bool(symbol.container))
    return list(found.values())


def _uses(before: Survey, after: Survey, gone: _Gone, path: str, word: "re.Pattern[str]") -> Iterator[Finding]:
    text, language = after.texts[path], language_of(path)
    if not telling(gone.name):
        sees = gone.files.intersection((*after.sees(path), *before.sees(path))) or path in gone.files
        if language in PROSE or language in DATA or language == "plaintext" or not sees:
            return
        if gone.name not in after.facts(path).references:
            return
        pattern = rf"(?:\.|->|::)\s*{re.escape(gone.name)}(?![\w$])"
        if path in gone.files and not gone.member:
            pattern = rf"(?<![\w$.]){re.escape(gone.name)}\s*\("
        word = re.compile(pattern)
    for match in word.finditer(text):
        line = text.count("\n", 0, match.start())
        shown = _line(text, line)
        yield Finding("stale", path, f"`{gone.name}` is gone, and is used here: {shown}", line)


def _unbound(before: Survey, after: Survey, paths: list[str]) -> Iterator[Finding]:
    """Names that a file took by an import, takes no longer, binds nowhere else, and still calls or looks into."""
    for path in paths:
        text = after.texts.get(path)
        if text is None or path not in before.texts or language_of(path) not in IMPORTING:
            continue
        facts = after.facts(path)
        here = _taken(after, path) | {symbol.name for symbol in facts.symbols}
        for name in sorted(_taken(before, path) - here):
            own = re.escape(name)
            use = re.search(rf"(?:^|[^\w$.'\"`/-]){own}(?:\(|\[|\.\w)", text, re.MULTILINE)
            if use is None or name not in facts.references or re.search(_BINDING.format(own), text, re.MULTILINE):
                continue
            line = text.count("\n", 0, text.find(name, use.start()))
            yield Finding("stale", path, f"`{name}` is no longer imported, and is used here: {_line(text, line)}", line)


def _taken(survey: Survey, path: str) -> set[str]:
    """The names that a file has by its imports."""
    found: set[str] = set()
    for one in survey.facts(path).imports:
        whole = one.alias or (one.module.split(".")[0] if language_of(path) == "python" else "")
        found.update([here for _, here in one.names] if one.names else [whole])
    return found - {"", "*", "default"}


def _still_there(before: Survey, after: Survey, goal: str) -> Iterator[Finding]:
    """What the goal renames and is still defined by its old name."""
    for old, new in _RENAME.findall(goal):
        name = old.rpartition(".")[2]
        if name == new.rpartition(".")[2] or not before.definitions(old):
            continue
        for path, symbol in after.definitions(old)[:PLACES_PER_FILE_MAX]:
            yield Finding("stale", path, f"`{old}` is to be renamed, and is still defined here", symbol.start)


def _texts_gone(before: Mapping[str, str], after: Mapping[str, str], paths: list[str]) -> Iterator[Finding]:
    """Texts in quotes (routes, keys, names of events) that were taken out of every file that changed, and still stand
    in quotes in files that did not."""
    gone: dict[str, str] = {}
    for path in paths:
        if language_of(path) not in PROSE and not is_test(path):
            kept = set(literals(after.get(path, "")))
            gone.update({text: path for text in literals(before.get(path, "")) if text not in kept})
    held = {text for path in paths for text in literals(after.get(path, ""))}
    for text, source in gone.items():
        if text in held:
            continue
        places = [path for path in sorted(after) if path not in paths and text in after[path]]
        for path in places if len(places) <= GONE_PLACES_MAX else ():
            at = after[path].find(text)
            if not _HISTORY.search(path) and (telling(text) or text in literals(after[path])):
                yield Finding(
                    "stale",
                    path,
                    f"`{text}` was taken out of {source}, and is still here",
                    after[path].count("\n", 0, at),
                )


def of_file(before: Survey, after: Survey, path: str) -> list[Finding]:
    """What is wrong within one file that has just been changed: it does not parse, or imports what is nowhere."""
    found = list(_broken(before.texts, after.texts, [path]))
    if language_of(path) in IMPORTING:
        known = {(one.module, one.names) for one in before.facts(path).imports}
        for one in after.facts(path).imports:
            found += _import(before, after, path, one, old=(one.module, one.names) in known, changed={path})
    return found


# Tests


def weakened(before: Mapping[str, str], after: Mapping[str, str], paths: Iterable[str]) -> list[Finding]:
    """What the tests lost: tests, assertions, or their being run. What one test file loses another may gain."""
    tests = [path for path in paths if is_test(path) and path in before]
    gained = [path for path in paths if is_test(path)]
    lost: list[Finding] = []
    for pattern, what in ((_TESTS, "tests"), (_ASSERTS, "assertions")):
        total = sum(_count(pattern, after.get(path)) - _count(pattern, before.get(path)) for path in gained)
        for path in tests:
            had, has = _count(pattern, before[path]), _count(pattern, after.get(path))
            if has < had and total < 0:
                text = "was deleted" if path not in after else f"has {has} {what} where it had {had}"
                lost.append(Finding("weakened", path, text))
    for path in tests:
        if path not in after:
            continue
        for pattern, what in ((_SKIPS, "skip or expect a failure"), (_EMPTY_ASSERTS, "assert nothing")):
            more = _count(pattern, after[path]) - _count(pattern, before[path])
            if more > 0:
                lost.append(Finding("weakened", path, f"{more} more place{'s' if more > 1 else ''} {what}"))
    return lost


def _count(pattern: "re.Pattern[str]", text: str | None) -> int:
    return sum(1 for _ in pattern.finditer(text or ""))
