"""Lines that stand for code which an answer leaves out: "rest of the code unchanged", in several languages.

A bare `...` is code in some places (a stub's body in Python, a document's end in YAML), so what is around it counts.
Whether the file had the very line before is for the caller to see.
"""

import re
from collections.abc import Sequence

LINE_CHARS_MAX = 300
"""Longer lines are no such remark."""

_DOTS = r"(?:\.{3,}|…)"
_OPENERS = r"(?://+|/\*+|\{\s*/\*+|#+|--+(?!>)|<!--|;+|%+|\*+(?!\*)|\(\*|\"{3}|'|REM\b|⋮)"
_COMMENT = re.compile(rf"^\s*{_OPENERS}\s*(.*)$")
_TRAILING = re.compile(r"(?<=[\s{;])(?://|#|/\*|<!--|--)(?!>)\s*([^\"']*)$")
_CLOSERS = re.compile(r"\s*(?:\*+/\s*\}?|--+>|\*\)|\"{3})?\s*[})\];,]*\s*$")
_EDGES = re.compile(rf"^[\s\[({{<*_=~-]*(?:{_DOTS}[\s*_-]*)*|(?:[\s*_-]*{_DOTS})*[\s\])}}>*_=~.:!-]*$")
_BARE = re.compile(rf"^\s*[\[(<{{]?\s*{_DOTS}\s*[\])>}}]?\s*[;,]?\s*$")

_EN_WHAT = (
    r"(?:code|functions?|methods?|class(?:es)?|implementations?|body|logic|imports?|contents?|module|file|"
    r"definitions?|fields?|properties|tests?|cases|script|component|document|markup|styles?|rules?|page|query|"
    r"sections?|config(?:uration)?|items|entries|routes?|helpers?|statements?)"
)
_EN_SAME = (
    r"(?:unchanged|unmodified|untouched|the same|same|(?:the )?same as (?:before|above|original|in the original)|as is|"
    r"as-is|as before|like before|intact|not changed|omitted|elided|identical|here|goes here|continues|follows|"
    r"omitted for brevity|truncated|snipped)"
)
_EN_IS = r"(?:is|are|remains?|stays?|left|kept|goes|go)"
_PHRASES = (
    # English
    rf"(?:keep )?(?:the )?(?:rest|remainder) of(?: the| your| this| my)?(?: existing| original| \w+)? {_EN_WHAT}"
    rf"(?: (?:code|file))?(?: {_EN_IS})?(?: exactly)?(?: {_EN_SAME})?",
    rf"(?:the )?(?:rest|remainder|remaining \w+|rest of \w+|everything else|all else|all other \w+)(?: {_EN_IS})?"
    rf"(?: exactly)? {_EN_SAME}",
    rf"(?:keep |same |leave |the |your |all )*(?:existing|previous|original|other|current|remaining)(?: \w+)? "
    rf"{_EN_WHAT}(?: {_EN_IS})?(?: exactly)? {_EN_SAME}",
    rf"(?:(?:keep |leave )(?:the |your |all )*)(?:existing|previous|original|other|remaining) {_EN_WHAT}",
    r"(?:the |your |all |more )*(?:existing|previous|original|your|more|remaining) (?:\w+ )?(?:code|implementation|"
    r"methods|functions|imports|logic)(?: below| above)?",
    rf"(?:the |all )*(?:other )?{_EN_WHAT} (?:{_EN_IS} )?(?:the )?"
    r"(?:unchanged|unmodified|untouched|same|same as before|as before|omitted(?: for brevity)?|elided|as is)",
    r"(?:remains? |stays? |left |kept |is |are )?(?:unchanged|unmodified)|no changes?(?: (?:here|needed|below))",
    r"same as (?:before|above|the original|in the original|previously)|as before|snip(?:ped)?|omitted(?: for brevity)?",
    r"(?:code )?(?:continues|continued)(?: here| below| as before| unchanged)?",
    # French
    r"(?:le |la )?reste (?:(?:du|de la|des|de l'|de)\s?\w+|inchangé|identique)(?: \w+){0,3}|"
    r"(?:la )?suite (?:du|de la|de l')\s?(?:code|fichier|fonction|classe|méthode|module)(?: \w+){0,2}",
    r"(?:le |la |les )?(?:code|fonctions?|méthodes?|méthode|importations?|imports?|contenu|lignes?)"
    r" (?:existante?s?|actuelle?s?|précédente?s?|inchangée?s?|identiques?|d'origine|omise?s?|restante?s?)(?: \w+){0,2}",
    r"(?:autres? \w+ )?inchangée?s?|sans (?:changements?|modifications?)|(?:identique|pareil|comme)s? (?:avant|à avant|"
    r"précédemment)|aucun changement|ne changent? pas",
    # Spanish, Portuguese
    r"(?:el |o )?resto (?:del|de la|de los|de las|do|da|dos|das|de) \w+(?: \w+){0,4}",
    r"(?:el |o )?(?:código|funciones|métodos|contenido|conteúdo|importaciones) (?:existente|anterior|original|actual|"
    r"restante|atual|omitido)s?(?: \w+){0,3}",
    r"sin cambios|sem (?:alterações|mudanças)|(?:se mantiene|permanece|continúa|queda) (?:igual|sin cambios)|"
    r"igual que antes|como antes|inalterad[oa]s?|(?:el |o )?código omitido",
    # German, Italian
    r"(?:der )?rest (?:des|der|vom) \w+(?: \w+){0,3}|restliche[rs]? \w+(?: \w+)?|unverändert(?:er \w+)?|"
    r"wie (?:zuvor|bisher|oben)|"
    r"(?:bestehende[rs]?|vorhandene[rs]?|bisherige[rs]?|übrige[rs]?) (?:code|methoden|funktionen|inhalt)(?: \w+){0,3}",
    r"(?:il )?resto (?:del|della|dei|delle) \w+(?: \w+){0,3}|codice esistente(?: \w+){0,2}|invariat[oaie]",
    # Chinese, Japanese
    r".{0,6}(?:其余|剩余|其他|现有|省略|原有).{0,12}(?:代码|不变|部分|省略).{0,6}|保持不变|.{0,6}残りの.{0,12}|変更なし|既存のコード.{0,6}",
)
_PHRASE = re.compile("|".join(f"(?:{phrase})" for phrase in _PHRASES), re.IGNORECASE)
_SUBSTANCE = re.compile(
    r"(?i)\b(?:rest|remaining|remainder|existing|unchanged|unmodified|previous|original|same|omitted|other|others|keep|"
    r"your code|more|etc|continues?|continued|reste|suite|existante?s?|inchangée?s?|autres?|resto|existentes?|cambios|"
    r"igual|omitido|otros|unverändert\w*|restliche\w*|bestehende\w*|übrige\w*|weitere\w*|invariat\w|esistente)\b"
    r"|其余|剩余|省略|不变|残り|既存"
)
WORDS_MAX = 9
_WORD = re.compile(r"[\w'’-]+")


def is_elision(lines: Sequence[str], number: int, language: str) -> bool:
    """Whether a line stands for code that was left out."""
    line = lines[number]
    if len(line) > LINE_CHARS_MAX or not line.strip():
        return False
    if _BARE.match(line):
        return _bare_elides(lines, number, language)
    if language == "markdown" and line.lstrip().startswith("#") and not re.search(_DOTS, line):
        return False  # a heading, not a comment
    comment = _COMMENT.match(line)
    if comment is None:
        stripped = line.strip()
        if re.match(_DOTS, stripped) or (stripped[0] in "[(<" and re.search(_DOTS, stripped)):
            return not _has_code(stripped) and _says(stripped, dotted=True)
        comment = _TRAILING.search(line)
        if comment is None:
            return False
        said = comment[1]
        return bool(_EDGES.sub("", _CLOSERS.sub("", said)).strip()) and _says(said, dotted=False)
    return _says(comment[1], dotted=bool(re.search(_DOTS, comment[1])))


def _says(said: str, *, dotted: bool) -> bool:
    """Whether the text of a comment says that something is left out."""
    text = _CLOSERS.sub("", said)
    if re.fullmatch(rf"\s*[\[(]?\s*(?:{_DOTS}\s*)+[\])]?\s*", text):
        return True
    bare = " ".join(_EDGES.sub("", text).replace("'s", "").split())
    bare = re.sub(r"^\(|\)$|[,:;()\[\]]", "", bare).strip()
    if not bare or len(_WORD.findall(bare)) > WORDS_MAX:
        return False
    if _PHRASE.fullmatch(bare):
        return True
    leads = re.match(rf"\s*[\[(]?\s*{_DOTS}", text)
    ends = re.search(rf"{_DOTS}\s*[\])]?\s*$", text)
    if leads and ends and re.search(rf"\b{_EN_WHAT}\b", bare):
        return True
    return bool(dotted and (leads or ends) and _SUBSTANCE.search(bare))


def _has_code(text: str) -> bool:
    """Whether a line beginning with dots is code: a spread, a parameter list."""
    return bool(re.match(rf"{_DOTS}[\w({{\[]", text)) or "=" in text or text.endswith((";", "{"))


def _bare_elides(lines: Sequence[str], number: int, language: str) -> bool:
    """Whether a line of nothing but dots leaves something out: not where dots are code of the language."""
    line = lines[number]
    if language == "yaml" and not line[0].isspace():
        return False
    before = next((lines[n].rstrip() for n in range(number - 1, max(-1, number - 20), -1) if lines[n].strip()), "")
    after = next((lines[n] for n in range(number + 1, min(len(lines), number + 20)) if lines[n].strip()), "")
    if language == "python":
        indent = len(line) - len(line.lstrip())
        follows = len(after) - len(after.lstrip()) if after else -1
        opened = before.endswith((":", '"""', "'''")) or before.split("#")[0].rstrip().endswith(":")
        # A stub's body stands alone in its block.
        return not (opened and follows < indent) or not line.strip().startswith("...")
    return not after.lstrip().startswith((")", "]"))
