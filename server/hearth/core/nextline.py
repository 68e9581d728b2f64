"""What a model says at the end of a line may be the rest of that line, or the next line: one trimmer for both.

Where the stream begins with a line break the suggestion is for the line below: it is trimmed as if the cursor stood at
that line's beginning, and its text keeps the break. It is worth remembering for when the user presses Enter, and worth
showing right after a suggestion was accepted.
"""

from dataclasses import replace

from hearth.core.candidate import Candidate, Site, Trimmer, Verdict
from hearth.core.scan import opens_block, scanned, traits_of


def complete_line(line_before: str, line_after: str, language: str) -> bool:
    """Whether a line break here would begin something new: no bracket or string is open, and no block."""
    traits = traits_of(language)
    if not line_before.strip() or line_after.strip() or opens_block(line_before, traits):
        return False
    scanner = scanned(line_before, traits)
    return not scanner.stack and not scanner.quote


def below(site: Site) -> Site:
    """The site at the beginning of the line that would follow."""

    def missing(text: str) -> bool:
        return site.missing("\n" + text)

    above = (*site.above, site.line_before)
    return replace(site, line_before="", line_after="", above=above, extent="statement", missing=missing)


class LineOrNext:
    """As Trimmer. `text` and the candidates begin with a line break where they are for the next line."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._trimmer: Trimmer | None = None
        self._break = ""
        self._held = ""

    @property
    def text(self) -> str:
        """What counts of the stream so far."""
        return self._break + self._trimmer.text if self._trimmer else self._held

    def feed(self, piece: str) -> Verdict:
        """See Trimmer.feed."""
        if self._trimmer is None:
            self._held += piece
            rest = self._held.lstrip(" \t")
            if not rest or rest == "\r":
                return "keep"
            piece = self._decided(rest)
        assert self._trimmer
        return self._trimmer.feed(piece)

    def so_far(self) -> Candidate:
        """See Trimmer.so_far."""
        return self._with_break(self._trimmer.so_far()) if self._trimmer else Candidate("", "nothing has come yet")

    def finish(self, reason: str) -> Candidate:
        """See Trimmer.finish."""
        if self._trimmer is None:
            self._trimmer = Trimmer(self._site)
            self._trimmer.feed(self._held)
        return self._with_break(self._trimmer.finish(reason))

    def _decided(self, rest: str) -> str:
        """Choose the site by the first visible character; what is to be fed to its trimmer."""
        site = self._site
        if rest[0] not in "\r\n" or not complete_line(site.line_before, site.line_after, site.language):
            self._trimmer = Trimmer(self._site)
            return self._held
        self._break = "\n"
        self._trimmer = Trimmer(below(self._site))
        return rest.removeprefix("\r").removeprefix("\n")

    def _with_break(self, candidate: Candidate) -> Candidate:
        return replace(candidate, text=self._break + candidate.text) if candidate.text else candidate
