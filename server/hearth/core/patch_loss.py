"""What a file defines and an answer leaves out, although nobody asked for that.

A small model that is asked for a whole file or class likes to write only the part that it changes. What it left out
would be gone without a word.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from hearth.core.analysis import analysed
from hearth.core.facts import Symbol
from hearth.core.patch_base import Refused
from hearth.core.patch_syntax import Outlined, outlined
from hearth.core.symbols import REFERENCE_CHARS_MIN

NAMES_TOLD_MAX = 8
TAKEN_COMPARED_MAX = 50
"""Of more nobody looks whether they have other names now."""
RENAMED_SHARE = 0.5
"""A definition that has so much of another's lines is that one under a new name."""
FUNCTIONS = frozenset({"function", "method"})
OVERLOADS = frozenset({"java", "csharp", "cpp", "typescript", "typescriptreact"})
"""Languages in which two definitions may have one name."""
REMOVE = (
    r"(?:remov|delet|drop(?!-?down)|eliminat|get(?:ting)? rid|prun|purg|inlin|merg|combin|consolidat|fold(?!er)|supprim"
    r"|enl[eè]v|retir|[eé]limin|fusion|borr|quit|entfern|l[oö]sch)"
)
_CHANGE = (
    rf"(?:{REMOVE}|unif|renam|mov(?:e|ing)|replac|turn|convert|split|extract|clean|renomm|d[eé]plac|remplac|renombr|muev"
    r"|reemplaz|umbenenn|ersetz|verschieb)"
)
_THE = (
    r"(?:(?:the|an?|this|that|these|those|any|every|each|all|its|my|our|both|old|le|la|les|une?|cette|el|los|las|una|est[ae]"
    r"|es[ae]|die|der|das|den|diese\w?|eine?n?)\s+|l['’])"
)
_ONE = (
    r"(?:function|method|class|helper|definition|constant|code|fonction|m[eé]thode|constante|funci[oó]n|m[eé]todo|clase"
    r"|c[oó]digo|funktion|methode|klasse)"
)
_BETWEEN = (
    r"(?!(?:in|from|of|inside|within|above|below|before|after|around|for|to|at|on|dans|de|du|en|von|aus)\b"
    rf"|{_ONE}\b)\w+"
)
_MANY = (
    r"(?:functions|methods|classes|helpers|definitions|constants|fonctions|m[eé]thodes|constantes|funciones|m[eé]todos"
    r"|clases|funktionen|methoden|klassen)"
)
_UNUSED = r"(?:unused|inutilis\w*|sin usar|unbenutzt\w*)"
_NO_NAME = rf"(?!:?\s*[`'\"‘“«„]|\s*\(\w+\)|\s+(?:{_ONE}|{_MANY})\b)"
_ASKED = re.compile(
    # "the delete function" is one's name: a single one needs an article behind the verb
    rf"\b{REMOVE}\w*(?:\W+{_BETWEEN}){{0,4}}?\W+{_MANY}\b"
    rf"|\b{REMOVE}\w*(?:\s+(?:of|also|just|now))?\s+{_THE}(?:{_BETWEEN}\s+){{0,3}}?{_ONE}\b"
    # "unused function 'total'", as linters say it, is about that one
    rf"|\b{_UNUSED}\s+(?:\w+\s+)?(?:{_ONE}|{_MANY}|variables)\b{_NO_NAME}"
    rf"|\b(?:{_ONE}|{_MANY}|variables)\s+{_UNUSED}"
    rf"|\b(?:everything|anything|whatever|what)\s+(?:\w+\s+){{0,2}}?{_UNUSED}"
    r"|\b(?:dead|duplicated?|obsolete|redundant|unreachable) code",
    re.IGNORECASE,
)
"""What asks for definitions to go, without a name."""
_ANY_VERB = re.compile(
    rf"\b(?:{_CHANGE}|(?:never|not) (?:used|accessed|referenced)|unreachable|unused|inutilis|sin usar"
    r"|unbenutzt|redefin|redeclar|duplicate|already de)",
    re.IGNORECASE,
)
"""What, together with a name, asks for it to go: also in the words of compilers and linters."""
_ADDS = re.compile(
    r"\b(?:add|append|write|create|implement|generate|tests? for|new(?! names?\b)|ajout|[eé]cri|cr[eé]|a[nñ]ad|agreg"
    r"|escrib|genera|hinzu|schreib|erstell)",
    re.IGNORECASE,
)
_PYTHON_HEAD = re.compile(r"\s*(?:async\s+)?(?:def|class)\b|\s*self\.|[\w(\[*][^\n]*=|type\s")
"""Of Python a file may have to be parsed as a whole again: not for lines that define nothing."""
_WORD = re.compile(r"\w+")
_VALUE_HEAD = re.compile(r"^[^=(]*=(?!=)")
"""What a line gives a value to is not used there."""


class Loss(NamedTuple):
    """Names of what a change takes away. `missing`: it must not; `gone`: the user is to read of it. `unsaid`: of both,
    what nobody asked for, and has no other name or place now."""

    missing: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()


def lost(
    language: str, before: str, after: str, instruction: str, *, written_out: bool, subject: Collection[str] = ()
) -> Loss:
    """What `after` no longer defines. `instruction`: what the user asked for. `written_out`: the answer wrote code out
    as a whole, so that what is not in it may simply have been forgotten; else it says what it takes away. `subject`:
    names of the definitions that were to be written anew, which may well be called otherwise then."""
    touched = _touched(language, before, after)
    if not touched:
        return Loss()
    was = outlined(language, before)
    if not touched & {*was.values, *(one.name for one in was.symbols)}:
        return Loss()
    now = outlined(language, after)
    taken = _taken(was, now, language in OVERLOADS)
    values = [name for name in was.values if name not in now.values]
    if not taken and not values:
        return Loss()
    used_before, used = _uses(language, before), _uses(language, after)
    defined = {one.name for one in now.symbols}
    few, lines = len(taken) <= TAKEN_COMPARED_MAX, (before.split("\n"), after.split("\n"))
    fresh = defined - {one.name for one in was.symbols}
    missing: set[str] = set()
    open_: dict[str, str] = {}  # (what it is called, its name) of what nobody uses any more
    for one in taken:
        fits = one.name in subject and not used[one.name] and not adding(instruction)
        elsewhere = one.name in now.names - was.names or (bool(fresh) and fits)
        if elsewhere or _asked(one.name, instruction) or (few and _renamed(one, was, now, *lines)):
            continue
        if (used[one.name] or one.name in defined) and (written_out or not one.container):
            missing.add(_name(one))
        elif written_out:
            open_[_name(one)] = one.name
    for name in values:
        if name in defined or name in now.names or _set(name, after) or _asked(name, instruction):
            continue
        if used[name]:
            missing.add(name)
        elif written_out:
            open_[name] = name
    unsaid = {*missing, *open_}
    if open_:
        left = [one for one in taken if _name(one) in missing or _name(one) in open_]
        missing |= _forgotten(open_, _users(left, was, now, before, after), used_before)
    told = [_name(one) for one in taken]
    return Loss(
        tuple(dict.fromkeys(name for name in (*told, *values) if name in missing)),
        tuple(dict.fromkeys(name for name in told if name not in missing)),
        tuple(dict.fromkeys(name for name in (*told, *values) if name in unsaid)),
    )


def _users(left: Sequence[Symbol], was: Outlined, now: Outlined, before: str, after: str) -> dict[str, set[str]]:
    """The words of the lines of each definition in `left`, by its name; of what runs outside of all, by its first word;
    and under "" of all that is still there, rewritten perhaps."""
    lines = before.split("\n")
    owner = {number: "" for one in was.symbols for number in range(one.start, one.end)}
    owner |= {number: _name(one) for one in left for number in range(one.start, one.end)}
    inside = {number for one in now.symbols for number in range(one.start, one.end)}
    written = after.split("\n")
    outside = {_first(line) for number, line in enumerate(written) if number not in inside}
    stays = set(written)  # what such a line names in a comment is no use of it, or that would still be there
    found: dict[str, set[str]] = {"": set()}
    for number, line in enumerate(lines):
        if line in stays:
            continue
        if number in owner:
            found.setdefault(owner[number], set()).update(_WORD.findall(line))
        elif first := _first(line):
            words = _WORD.findall(_VALUE_HEAD.sub("", line))
            found.setdefault("" if first in outside else first, set()).update(words)
    return found


def _first(line: str) -> str:
    """The word that a line begins with, "" for none."""
    found = _WORD.match(line.lstrip())
    return found[0] if found else ""


def _forgotten(names: Mapping[str, str], users: Mapping[str, set[str]], used: Counter[str]) -> set[str]:
    """Those of `names` that nothing used that is still there, nor what was given up with it."""
    words, left = set(users[""]), dict(names)
    while spared := [known for known, name in left.items() if used[name] and name in words]:
        for known in spared:
            words |= users.get(known, set())
            del left[known]
    return set(left)


def adding(instruction: str) -> bool:
    """Whether something new was asked for."""
    return bool(_ADDS.search(instruction))


def check_loss(path: str, loss: Loss) -> str:
    """What the user is to read, "" for nothing. Raises Refused ("partial")."""
    if loss.missing:
        names = _listed(loss.missing)
        raise Refused(
            "partial",
            f"The answer takes {names} out of {path}, which nobody asked for.",
            f"Without {names} the answer cannot be taken: {path} defines that, and nobody asked to remove it. Write "
            "your answer again, with all that stays.",
            path,
        )
    return f"{path} does not define {_listed(loss.gone)} any more." if loss.gone else ""


def _touched(language: str, before: str, after: str) -> set[str]:
    """The words of all lines that are fewer now, and could define something."""
    fewer = Counter(before.splitlines()) - Counter(after.splitlines())
    heads = (line for line in fewer if language != "python" or _PYTHON_HEAD.match(line))
    return {word for line in heads for word in _WORD.findall(line)}


def _taken(was: Outlined, now: Outlined, overloads: bool) -> list[Symbol]:
    """The outermost definitions that are not there any more, under no container. What is local to a function is its own
    business."""
    paths, names = Counter(map(_name, now.symbols)), Counter(one.name for one in now.symbols)
    had, had_names = Counter(map(_name, was.symbols)), Counter(one.name for one in was.symbols)
    signatures = {one.signature for one in now.symbols} if overloads else set[str]()
    found: list[Symbol] = []
    covered = 0  # up to this line they are in a function, or in one that was found
    for one in was.symbols:
        # A property is defined once more to be set; outside of classes there may be one for each branch of a try.
        counted = overloads or bool(one.container)
        fewer = paths[_name(one)] < had[_name(one)] if counted else not paths[_name(one)]
        taken = fewer and one.signature not in signatures and names[one.name] < had_names[one.name]
        if taken and one.start >= covered:
            found.append(one)
        if taken or one.kind in FUNCTIONS:
            covered = max(covered, one.end)
    return found


def _renamed(one: Symbol, was: Outlined, now: Outlined, before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether there is a new definition with much the same lines. `before`, `after`: the lines of the texts."""
    known = {_name(other) for other in was.symbols}
    own = Counter(_solid(before, one)[1:])
    for other in now.symbols:
        if other.kind == one.kind and _name(other) not in known:
            shared = own & Counter(_solid(after, other)[1:])
            if shared.total() >= RENAMED_SHARE * max(1, own.total()):
                return True
    return False


def _solid(lines: Sequence[str], symbol: Symbol) -> list[str]:
    return [line.strip() for line in lines[symbol.start : symbol.end] if _WORD.search(line)]


def _uses(language: str, text: str) -> Counter[str]:
    """How often each name is used beyond being defined; short ones by the words of the text."""
    references = analysed(language, text).references
    short = Counter(word for word in _WORD.findall(text) if len(word) < REFERENCE_CHARS_MIN)
    return (
        Counter(references) + short - Counter(one.name for one in outlined(language, text).symbols if one.name in short)
    )


def _set(name: str, text: str) -> bool:
    """Whether something of that name is still given a value, in a function perhaps."""
    return bool(re.search(rf"\b{re.escape(name)}\b[^\n=()]*=(?!=)", text))


def asked_in_general(instruction: str) -> bool:
    """Whether definitions are to go that are not named."""
    return bool(_ASKED.search(instruction))


def _asked(name: str, instruction: str) -> bool:
    """Whether what the user wrote explains that a definition goes."""
    if asked_in_general(instruction):
        return True
    return bool(_ANY_VERB.search(instruction)) and name in _WORD.findall(instruction)


def _name(symbol: Symbol) -> str:
    return f"{symbol.container}.{symbol.name}" if symbol.container else symbol.name


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_TOLD_MAX
    return ", ".join(names[:NAMES_TOLD_MAX]) + (f" and {more} more" if more > 0 else "")
