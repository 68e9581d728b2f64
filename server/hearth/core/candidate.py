"""From a stream of model text to one suggestion: a sans-IO state machine.

`Trimmer.feed(text)` takes what the model streams and says whether more is wanted; `finish(reason)` gives the candidate.
It stops at the end of the statement or block that the cursor is in, never repeats what already stands after the cursor,
never closes a bracket twice, and never lets a model's own control tokens through. The result does not depend on how
the stream was cut into pieces.
"""

import re
from typing import Literal

from hearth.core.cleaning import (
    LEAKED,
    LEAKED_PART,
    PROSE_LANGUAGES,
    fence_closed,
    foreign,
    may_be_wrapped,
    repeated_start,
    unwrapped,
    without_token_tail,
)
from hearth.core.fitting import Candidate, Site, fitted
from hearth.core.scan import (
    CLOSERS,
    Scanner,
    closes_block,
    indent_width,
    opens_block,
    resumes_block,
    scanned,
    traits_of,
)

__all__ = ["Candidate", "Site", "Trimmer", "Verdict"]

Verdict = Literal["keep", "stop"]
LINE_CHARS_MAX = 1_000
"""A longer line is minified or runaway output, never a useful suggestion."""
BLANK_LINES_MAX = 2
RUN_CHARS_MIN = 60
_RUN_PERIOD_MAX = 24
_RUN_TIMES = 8
_RUN = re.compile(r"(\w.{0,23}?|.{0,23}?\w)\1{7,}")
"""The same few characters eight times over: a small model that has lost its way. Rulers of punctuation are fine."""
_CONTINUES = (",", "+", "-", "*", "/", "%", "&", "|", "^", "=", "<", "?", ".", "(", "[", "{")
_MAY_RESUME = "ecfwr"
"""First letters of the words that continue a compound statement (else, except, catch, finally, when, rescue, ...)."""
_CONTINUING = re.compile(
    r"\??\.(?!\.)|&&|\|\||\?\?|\?[^.]|:(?!:)|[+%^<>=]|\|(?!\|)|-(?!-)|[*&](?!/)|/(?![/*])|=>|instanceof\b"
)
"""What a line begins with that goes on with the expression above it, in languages that need no `;`."""
_MAY_CONTINUE = "?.&|:+%^<>=-*/i"
_DEFINITION = re.compile(
    r"\s*(?:(?:async )?def\s|class\s|(?:pub(?:\([a-z]+\))? )?(?:async )?fn\s|func\s|(?:async )?function\b"
    r"|(?:(?:public|private|protected|internal|static|async|override|final|virtual|abstract|get|set)\s)+[^=;]*\("
    r"|(?!(?:if|for|while|switch|catch|return|else|do|with|using|lock|await|throw|new)\b)(?:[\w<>\[\]?*&:.]+\s+)*[\w~#]+\s*"
    r"\([^;=]*\)[^;=()]*\{\s*$)"
)
_PAIR = re.compile(r"\s*(?:[\"'\w\[\].-]+\s*:(?!:)|[\"'\w.]+,?\s*$)")
"""One of an object's pairs or of an enumeration's names."""
_CASE_ARM = re.compile(r"\s*[^\s()=]+\)(?!\))")
"""`start)` in a shell's `case`: nothing opened that bracket."""
HELD_CHARS_MAX = 8_000
"""The most of a chat answer that is kept until its code is found."""
BLOCK_LINES_MAX = 6


class Trimmer:
    """Feed it a stream; see the module docstring. `text` is what counts of the stream so far."""

    def __init__(self, site: Site) -> None:
        self.text: str = ""
        self._site = site
        self._traits = traits_of(site.language)
        self._scanner = Scanner(self._traits)
        self._scanner.quote = site.quote
        self._scanner.feed(site.line_before)
        self._in_text = bool(self._scanner.quote or self._scanner.comment)
        # What the text after the cursor will close is not for the model to close.
        for char in site.line_after:
            if self._scanner.stack and CLOSERS.get(char) == self._scanner.stack[-1]:
                self._scanner.stack.pop()
        self._scanner.surplus, self._scanner.surplus_at = 0, -1
        self._depth_before = len(self._scanner.stack)
        self._pending_cr = False
        self._started = False
        self._line_start = 0  # where in `text` the line being read begins
        self._line_number = 0
        self._kept = 0  # `text[:_kept]` is sure to be part of the suggestion
        self._kept_lines = 0
        self._blank_run = 0
        self._last_line = ""
        self._base = self._first_base()
        self._in_block = site.extent == "block"
        self._looking_ahead = False
        self._ended_with_brace = False
        self._stopped = ""
        self._last_code = ""
        self._held = ""  # the beginning, until it is known whether it is code
        self._wrapped: bool | None = None  # whether the code is to be looked for in a chat answer
        self._block_over = False  # the answer's fenced block has its end: what follows is chat
        self._seen: list[tuple[str, int]] = []  # the lines kept, and where in `text` each ends
        self._defined_at = -1  # the indentation of the first definition kept
        self._definition_over = False
        self._outer: list[str] | None = None

    @property
    def stopped(self) -> bool:
        """Whether nothing more is wanted from the model."""
        return bool(self._stopped)

    def feed(self, piece: str) -> Verdict:
        """Take a piece of the stream; "stop" means that more would not change the candidate."""
        if self._stopped:
            return "stop"
        self._append(self._unheld(self._normal(piece)))
        self._read()
        if self._block_over and not self._stopped:
            self._stopped = "the code block is complete"
        return "stop" if self._stopped else "keep"

    def _read(self) -> None:
        self._cut_leaks()
        while not self._stopped:
            end = self.text.find("\n", self._line_start)
            if end < 0:
                self._look_at_partial_line()
                break
            self._complete_line(end)

    def so_far(self) -> Candidate:
        """The candidate made of the whole lines that are sure by now; used when the answer cannot wait for the end."""
        return self._finished(self.text[: self._kept], "the first lines; the rest is on its way")

    def finish(self, reason: str) -> Candidate:
        """The candidate, once the stream has ended with `reason` ("stop", "length", "filter", "truncated")."""
        if not self._stopped and self._wrapped is not False:
            self._append(self._unwrapped() if self._wrapped else self._plain())
            self._wrapped = False
            self._read()
        if not self._stopped and reason in ("stop", "length"):
            self._drop_partial_leak()
            if len(self.text) > self._line_start:
                self._complete_line(len(self.text))
        return self._finished(self.text[: self._kept], self._stopped or f"the model ended with {reason}")

    # The stream

    def _normal(self, piece: str) -> str:
        """With LF line endings; a `\\r` at the end waits for what follows it."""
        if self._pending_cr:
            piece = "\r" + piece
        self._pending_cr = piece.endswith("\r")
        if self._pending_cr:
            piece = piece[:-1]
        return piece.replace("\r\n", "\n").replace("\r", "\n")

    def _unheld(self, piece: str) -> str:
        """What is code of the stream so far: nothing while it may be chat, the fenced block when that is whole."""
        if self._wrapped is False:
            return piece
        self._held += piece
        if self._wrapped is None:
            head = self._held.lstrip()
            self._wrapped = self._is_wrapped(head) if head else None
            if self._wrapped is None:
                return ""
            if not self._wrapped:
                return self._plain()
        if not fence_closed(self._held):
            if len(self._held) > HELD_CHARS_MAX:
                self._stopped = "the model answered with chat instead of code"
            return ""
        self._wrapped, self._block_over = False, True
        return self._unwrapped() + "\n"

    def _is_wrapped(self, head: str) -> bool | None:
        if self._in_text:
            return False
        if (wrapped := may_be_wrapped(head, self._site.language)) is not False:
            return wrapped
        rest = without_token_tail(head)
        return False if rest and repeated_start(self._site.line_before, rest) is not None else None

    def _plain(self) -> str:
        """What was held, without the rest of a control token and without what repeats the cursor's own line."""
        text, self._held = self._held, ""
        if self._in_text:
            return text
        bare = text.lstrip()
        tail = without_token_tail(bare)
        if tail is not None and tail != bare:
            text = tail
        text = text[repeated_start(self._site.line_before, text) or 0 :]
        return self._without_doubled_indent(text)

    def _unwrapped(self) -> str:
        code = unwrapped(self._held, self._site.line_before)
        if not code:
            self._stopped = self._stopped or "the model answered with chat instead of code"
        return code or ""

    def _without_doubled_indent(self, text: str) -> str:
        """The indentation that the cursor's line has already is not for the model to write again."""
        before = self._site.line_before
        if not before or before.strip() or not text.startswith(before):
            return text
        above = next((line for line in reversed(self._site.above) if line.strip()), "")
        lead = text[: len(text) - len(text.lstrip(" \t"))]
        deepest = indent_width(above) + (8 if opens_block(above, self._traits) else 0)
        return text.lstrip(" \t") if indent_width(before + lead) > deepest else text

    def _append(self, piece: str) -> None:
        if not self._started and self._site.line_before[-1:] in (" ", "\t") and self._site.line_before.strip():
            piece = piece.lstrip(" ")  # `x = ` followed by ` 1`
        self._started = self._started or bool(piece)
        self.text += piece

    def _cut_leaks(self) -> None:
        found = [at for token in self._site.leaks if (at := self.text.find(token)) >= 0]
        if leaked := LEAKED.search(self.text):
            found.append(leaked.start())
        if not found:
            return
        self.text = self.text[: min(found)]
        while not self._stopped and (end := self.text.find("\n", self._line_start)) >= 0:
            self._complete_line(end)
        if not self._stopped and len(self.text) > self._line_start:
            self._complete_line(len(self.text))
        self._stopped = self._stopped or "the model ended its text"

    def _drop_partial_leak(self) -> None:
        """Cut a control token that the stream's end left incomplete (`<|fim_mid`)."""
        for token in self._site.leaks:
            for size in range(min(len(token) - 1, len(self.text)), 2, -1):
                if self.text.endswith(token[:size]):
                    self.text = self.text[:-size]
                    return
        if part := LEAKED_PART.search(self.text):
            self.text = self.text[: part.start()]

    # Line by line

    def _complete_line(self, end: int) -> None:
        content = self.text[self._line_start : end]
        first = self._line_number == 0
        full = self._site.line_before + content if first else content
        if reason := self._stop_before(full, content, first):
            self._stopped = reason
            return
        start = self._line_start
        self._line_start = end + 1
        self._line_number += 1
        if not content.strip() and not (first and self._site.line_before.strip()):
            self._blank_line(first)
            return
        self._blank_run = 0
        self._scan(content, start, end)
        if self._stopped:
            return
        self._kept = end
        self._kept_lines += 1
        self._last_line = full
        self._seen.append((full, end))
        if (again := self._repeated_block()) and not self._stopped:
            self._kept = self._seen[-again - 1][1]
            self._stopped = "the model repeats itself"
            return
        self._note_definition(full)
        self._after_line(full, first)
        if not self._stopped and self._kept_lines >= self._site.max_lines:
            self._stopped = "the most lines a suggestion may have"

    def _blank_line(self, first: bool) -> None:
        self._scanner.feed("\n")
        if self._kept_lines and self._site.quote and self._scanner.quote == self._site.quote:
            self._stopped = "the paragraph is complete"
            return
        self._blank_run += 1
        if self._blank_run > BLANK_LINES_MAX and not first:
            self._stopped = "blank lines"

    def _stop_before(self, full: str, content: str, first: bool) -> str:
        """Why the suggestion ends before this line; "" if it goes on."""
        text = full.strip()
        if len(full) > LINE_CHARS_MAX:
            return "a line too long to be useful"
        if _runs(content):
            return "the model repeats itself"
        if not text or (first and not content.strip()):
            return ""
        if text.startswith("```") and not self._in_text and self._site.language not in PROSE_LANGUAGES:
            return "a code fence"
        if self._repeats_below(full):
            return "the next line already stands below"
        if not first and len(text) > 3 and (full == self._last_line or self._told_before(full)):
            return "the model repeats itself"
        if self._is_foreign(full, first):
            return "it is not the language of this document"
        if self._looking_ahead:
            self._looking_ahead = False
            if not self._goes_on(full):
                return "the statement is complete"
        if self._begins_the_next_definition(full):
            return "the next definition is a suggestion of its own"
        if self._in_block and (self._traits.block != "brace") and not self._scanner.stack and not self._scanner.quote:
            return self._stop_at_dedent(full)
        return ""

    def _is_foreign(self, full: str, first: bool) -> bool:
        if self._in_text or self._scanner.quote or (first and self._site.line_before.strip()):
            return False
        return foreign(full, self._site.language)

    def _goes_on(self, full: str) -> bool:
        """Whether a line after what looked complete belongs to it: `.then()`, `else`, an operator, deeper indented."""
        text = full.strip()
        if text.startswith((".", "?.")) and (self._traits.chains or self._outer_stack()):
            return True
        if text[:1] not in CLOSERS and resumes_block(full, self._traits):
            return True
        deeper = indent_width(full) > indent_width(self._seen[0][0] if self._seen else self._site.line_before)
        return deeper and not self._ended_with_brace and bool(_CONTINUING.match(text))

    def _told_before(self, full: str) -> bool:
        """A long line for the third time."""
        return len(full.strip()) > 20 and sum(line == full for line, _ in self._seen) >= 2

    def _repeated_block(self) -> int:
        """How many of the last lines repeat the same number of lines before them, 0 if none do."""
        lines = [line for line, _ in self._seen[-2 * BLOCK_LINES_MAX :]]
        for size in range(2, len(lines) // 2 + 1):
            block = lines[-size:]
            if block == lines[-2 * size : -size] and sum(len(line.strip()) for line in block) > 12:
                return size
        return 0

    def _note_definition(self, full: str) -> None:
        if not self._in_block or self._in_text:
            return
        if self._defined_at < 0 and _DEFINITION.match(full[:200]):
            self._defined_at = indent_width(full)
        elif self._defined_at >= 0 and indent_width(full) > self._defined_at:
            self._definition_over = True

    def _begins_the_next_definition(self, full: str) -> bool:
        """`def` after a whole `def`, in a class whose body was empty."""
        if not self._definition_over or self._scanner.quote or indent_width(full) != self._defined_at:
            return False
        return full.strip()[:1] == "@" or bool(_DEFINITION.match(full[:200]))

    def _stop_at_dedent(self, full: str) -> str:
        if indent_width(full) > self._base:
            return ""
        if self._kept_lines and (resumes_block(full, self._traits) or closes_block(full, self._traits)):
            return ""
        return "the block is complete"

    def _repeats_below(self, full: str) -> bool:
        """Whether this line is the one that already follows the cursor. A closing bracket that closes what the model
        itself opened is never a repetition."""
        quote = self._scanner.quote
        if not self._site.below or (quote and quote != self._site.quote):
            return False
        below = self._site.below[0].rstrip()
        mine = full.rstrip()
        if mine != below and (mine.rstrip(";, ") != below.rstrip(";, ") or len(mine.strip()) < 4):
            return False
        return not (below.strip()[:1] in CLOSERS and len(self._scanner.stack) > self._depth_before)

    def _scan(self, content: str, start: int, end: int) -> None:
        before = self._scanner.fed
        self._scanner.feed(content)
        if self._scanner.surplus == 1 and self._site.language == "shellscript" and _CASE_ARM.match(content):
            self._scanner.surplus, self._scanner.surplus_at = 0, -1
        if self._scanner.surplus:
            self._close_outer(start + self._scanner.surplus_at - before)
            self._scanner.surplus, self._scanner.surplus_at = 0, -1
            if self._stopped:
                return
        self._last_code = self._scanner.last_code
        self._scanner.feed("\n")

    def _close_outer(self, at: int) -> None:
        """A closing bracket for something opened before the suggestion: right only if it is open and stays so."""
        closer = self.text[at]
        after = (self._site.line_after.strip() or (self._site.below[0].strip() if self._site.below else ""))[:1]
        outer = self._outer_stack()
        seen = outer and outer[-1] == CLOSERS[closer] and after != closer
        if seen or self._site.missing(self.text[: _closers_end(self.text, at)]):
            if self._in_block:
                # The block that the cursor is in ends here.
                end = self.text.find("\n", at)
                self._kept = len(self.text) if end < 0 else end
                self._stopped = "the block is complete"
            return
        if self.text[self._line_start_of(at) : at].strip() or (at == 0 and self._site.line_before.strip()):
            self._kept = at
        self._stopped = "the bracket is closed already"

    def _line_start_of(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def _after_line(self, full: str, first: bool) -> None:
        """Decide, after a whole line was kept, whether the statement or block is complete."""
        if self._scanner.stack or self._scanner.quote:
            return
        traits = self._traits
        if traits.block == "brace":
            if not self._in_block:
                self._brace_statement_may_end(full)
            return
        if opens_block(full, traits):
            if not self._in_block:
                self._in_block = True
                self._base = indent_width(full)
            return
        if full.rstrip().endswith("\\") and traits.line_comments:
            return
        if self._in_block:
            if traits.block == "end" and closes_block(full, traits) and indent_width(full) <= self._base:
                self._stopped = "the block is complete"
            return
        self._statement_may_end(full)

    def _brace_statement_may_end(self, full: str) -> None:
        code = self._last_code
        if code == "," and self._is_item(full):
            self._stopped = "the item is complete"
            return
        if full.endswith("\\") or (code in _CONTINUES and not full.rstrip().endswith(("++", "--", "*/"))):
            return
        self._statement_may_end(full)

    def _is_item(self, full: str) -> bool:
        """Whether a line that ends with a comma is one of the things listed between brackets that opened above."""
        outer = self._outer_stack()
        return bool(outer) and (outer[-1] in "([" or _PAIR.match(full) is not None)

    def _outer_stack(self) -> list[str]:
        """The brackets that are open at the cursor, as far as the lines above show, and that nothing after it on its
        line closes."""
        if self._outer is None:
            text = "\n".join(self._site.above) + "\n" + self._site.line_before
            scanner = scanned(text, self._traits)
            if scanner.quote in self._traits.multiline_quotes and not self._site.quote:
                # The lines above begin inside a string, so that outside and inside were taken for each other.
                scanner = Scanner(self._traits, quote=scanner.quote)
                scanner.feed(text)
            outer = scanner.stack
            for char in self._site.line_after:
                if outer and CLOSERS.get(char) == outer[-1]:
                    outer.pop()
            self._outer = outer
        return self._outer

    def _statement_may_end(self, full: str) -> None:
        code = self._last_code
        if full.lstrip().startswith("@") and self._traits.block == "indent":
            return  # a decorator belongs to what follows
        chains = self._traits.chains or (self._traits.block == "indent" and bool(self._outer_stack()))
        if (chains and code not in (";", ",")) or code == "}":
            self._looking_ahead = True
            self._ended_with_brace = code == "}"
            return
        self._stopped = "the statement is complete"

    def _look_at_partial_line(self) -> None:
        """Stop early: one visible character of the next line may tell that it does not belong to the suggestion."""
        partial = self.text[self._line_start :]
        if len(partial) > LINE_CHARS_MAX:
            self._stopped = "a line too long to be useful"
        elif _ends_in_run(partial):
            self._stopped = "the model repeats itself"
        elif self._looking_ahead and (head := partial.strip()[:1]) and head not in _MAY_RESUME + _MAY_CONTINUE:
            self._stopped = "the statement is complete"
        elif (
            self._in_block
            and self._kept_lines
            and self._traits.block == "indent"
            and not self._scanner.stack
            and not self._scanner.quote
            and (head := partial.strip()[:1])
            and indent_width(partial) <= self._base
            and head not in _MAY_RESUME + ")]}"
        ):
            self._stopped = "the block is complete"

    def _first_base(self) -> int:
        if self._site.extent == "block":
            lines = [line for line in self._site.above if line.strip()]
            return indent_width(lines[-1]) if lines else -1
        return indent_width(self._site.line_before)

    # The result

    def _finished(self, text: str, reason: str) -> Candidate:
        if not text.strip():
            return Candidate("", reason if self.text.strip() or self._stopped else "the model had nothing to add")
        return fitted(self._site, text, reason)


def _closers_end(text: str, at: int) -> int:
    while at < len(text) and text[at] in CLOSERS:
        at += 1
    return at


def _runs(line: str) -> bool:
    if len(line) < RUN_CHARS_MIN:
        return False
    if any(len(found.group()) >= RUN_CHARS_MIN // 2 for found in _RUN.finditer(line)):
        return True
    # What was seen while the line was coming must be seen in the whole line too.
    return any(_ends_in_run(line[:size]) for size in range(RUN_CHARS_MIN, len(line) + 1))


def _ends_in_run(line: str) -> bool:
    """Cheap enough for every token; whatever it finds, `_runs` finds too once the line is whole."""
    if len(line) < RUN_CHARS_MIN:
        return False
    for period in range(1, _RUN_PERIOD_MAX + 1):
        unit, size = line[-period:], period * _RUN_TIMES
        if size >= RUN_CHARS_MIN // 2 and re.search(r"\w", unit) and line[-size:] == unit * _RUN_TIMES:
            return True
    return False
