"""Characters that a reader does not see and a model does: found, named and taken out.

Instructions can be hidden in text that looks empty: as tag characters, as variation selectors, in zero-width
characters, or by turning the direction of writing round. What belongs to writing stays: emoji with their joiners,
selectors and flags, the joiners of Arabic and Indic scripts, one variation selector after a Chinese character."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Sort = Literal["tag", "bidi", "zero-width", "variation", "invisible", "control"]
FINDINGS_MAX = 100
HIDDEN_CHARS_SHOWN_MAX = 60
_NAMES: dict[Sort, str] = {
    "tag": "tag character",
    "bidi": "control of writing direction",
    "zero-width": "zero-width character",
    "variation": "variation selector",
    "invisible": "invisible character",
    "control": "control character",
}
_SORTS: tuple[tuple[Sort, str], ...] = (
    ("tag", "\U000e0000-\U000e007f"),
    ("bidi", "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"),
    ("zero-width", "\u200b-\u200d\u2060\ufeff"),
    ("variation", "\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180d\u180f"),
    ("invisible", "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u2061-\u2065\u206a-\u206f\u3164\uffa0\ufff0-\ufffb"),
    ("control", "\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f"),
)
_HIDDEN = re.compile(f"[{''.join(chars for _, chars in _SORTS)}]")
_OF_SORT: dict[Sort, re.Pattern[str]] = {sort: re.compile(f"[{chars}]") for sort, chars in _SORTS}
_FLAG = "\U0001f3f4"
_FLAGS = frozenset(
    "".join(chr(0xE0000 + ord(char)) for char in region) + "\U000e007f" for region in ("gbeng", "gbsct", "gbwls")
)
"""The tags of the three flags that are spelled so. Others would be a way to hide words."""
_FLAG_TAGS = 6
_PICTURE = re.compile(
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u2bff\u3030\u303d\u3297"
    "\u3299\U0001f000-\U0001faff]"
)
_KEYCAP = "0123456789#*"
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_JOINING = re.compile("[\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc\u0900-\u0dff\u1000-\u109f]")


@dataclass(frozen=True, slots=True)
class Finding:
    """So many characters of a sort in a 0-based line. `says`: what tag characters spell, `which`: the first one's
    name."""

    line: int
    sort: Sort
    count: int
    which: str
    says: str = ""

    @property
    def words(self) -> str:
        """`line 3: 14 tag characters, which spell "ignore all"`"""
        plural = "s" if self.count > 1 else ""
        what = f"line {self.line + 1}: {self.count} {_NAMES[self.sort]}{plural} ({self.which})"
        return f'{what}, which spell "{self.says}"' if self.says else what


def cleaned(text: str) -> tuple[str, tuple[Finding, ...]]:
    """The text without what cannot be seen, and what that was, by line; at most FINDINGS_MAX findings."""
    if not _HIDDEN.search(text):
        return text, ()
    findings: list[Finding] = []
    lines: list[str] = []
    for number, line in enumerate(text.split("\n")):
        kept, hidden = _line(line, first=number == 0)
        lines.append(kept)
        if hidden and len(findings) < FINDINGS_MAX:
            findings += _found(number, hidden)
    return "\n".join(lines), tuple(findings[:FINDINGS_MAX])


def warning(name: str, findings: Iterable[Finding]) -> str:
    """One sentence for the user on what was hidden in a file; "" for nothing."""
    found = [*findings]
    if not found:
        return ""
    more = f", and {len(found) - 3} more" if len(found) > 3 else ""
    return f"{name} holds characters that cannot be seen: {'; '.join(one.words for one in found[:3])}{more}."


def _line(line: str, *, first: bool) -> tuple[str, list[str]]:
    if not _HIDDEN.search(line):
        return line, []
    kept: list[str] = []
    hidden: list[str] = []
    at = 0
    while at < len(line):
        char = line[at]
        if not _HIDDEN.match(char):
            kept.append(char)
        elif size := _belongs(line, at):
            kept.append(line[at : at + size])
            at += size
            continue
        elif not (first and at == 0 and char == "\ufeff"):
            hidden.append(char)  # a byte order mark at the start is taken out, and hides nothing
        at += 1
    return "".join(kept), hidden


def _belongs(line: str, at: int) -> int:
    """How many characters from here on are part of what can be seen; 0 for none."""
    char, before, after = line[at], line[at - 1 : at] if at else "", line[at + 1 : at + 2]
    if before == _FLAG and line[at : at + _FLAG_TAGS] in _FLAGS:
        return _FLAG_TAGS
    if char in "\ufe0e\ufe0f":
        return int(bool(_PICTURE.match(before)) or (before in _KEYCAP and before != "" and after == "\u20e3"))
    if char == "\u200d" and _PICTURE.match(after) and (_PICTURE.match(before) or before == "\ufe0f"):
        return 1
    if char in "\u200c\u200d":
        return int(bool(_JOINING.match(before) and _JOINING.match(after)))
    return int("\U000e0100" <= char <= "\U000e01ef" and bool(_IDEOGRAPH.match(before)))


def _found(number: int, hidden: list[str]) -> list[Finding]:
    findings: list[Finding] = []
    for sort, pattern in _OF_SORT.items():
        chars = [char for char in hidden if pattern.match(char)]
        if not chars:
            continue
        says = ""
        if sort == "tag":
            says = "".join(chr(ord(c) - 0xE0000) for c in chars if 0xE0020 <= ord(c) <= 0xE007E)[
                :HIDDEN_CHARS_SHOWN_MAX
            ]
        name = unicodedata.name(chars[0], "").title()
        findings.append(Finding(number, sort, len(chars), f"U+{ord(chars[0]):04X} {name}".rstrip(), says))
    return findings
