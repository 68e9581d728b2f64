"""Whether a fix worked, by what the editor's tools say before and after."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hearth.core.context import Diagnostic


@dataclass(frozen=True, slots=True)
class Verdict:
    """`left`: of what was to be fixed, what is still said. `new`: what was not said before."""

    left: tuple[Diagnostic, ...]
    new: tuple[Diagnostic, ...]

    @property
    def gone(self) -> bool:
        return not self.left

    @property
    def worse(self) -> bool:
        """Whether undoing the change should be offered: an error or warning is new, or nothing was fixed."""
        return bool(self.left) or any(one.severity in ("error", "warning") for one in self.new)


def verify(fixed: Iterable[Diagnostic], before: Iterable[Diagnostic], after: Iterable[Diagnostic]) -> Verdict:
    """Compare a document's diagnostics before and after a change that should remove `fixed`.

    Lines move with an edit, so diagnostics are the same by severity and message, and counted.
    """
    wanted, now = [*fixed], [*after]
    known = Counter(map(_key, before))
    known.update(Counter(map(_key, wanted)) - known)  # what is to be fixed was said before, whatever the list says
    expected = known - Counter(map(_key, wanted))
    left: list[Diagnostic] = []
    new: list[Diagnostic] = []
    open_ = Counter(map(_key, wanted))
    for one in now:
        key = _key(one)
        if expected[key] > 0:
            expected[key] -= 1
        elif open_[key] > 0:
            open_[key] -= 1
            left.append(one)
        else:
            new.append(one)
    return Verdict(tuple(left), tuple(new))


def _key(diagnostic: Diagnostic) -> tuple[str, str]:
    return diagnostic.severity, " ".join(diagnostic.message.split())
