"""How far to trust a copied line: a logistic model over the evidence for it.

Each candidate text has one `Evidence`, summed over the places it was copied from; `features` turns it into numbers and
`probability` into the chance that it is exactly what the user would write. The weights were fitted offline
(`python scripts/benchmarks/copying.py --fit`: every candidate of every position in held-out files of the training
packages is one row, labelled by whether it was the true rest of the line; Newton's method, L2 penalty) and are not
changed at run time. The packages that the published precision is measured on took no part in the fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log

from hearth.core.shape import is_name, tokens

CONTEXT_SEEN_LINES = 20
Z_MAX = 30.0


@dataclass(slots=True)
class Evidence:
    """Everything that speaks for one text. Counts of context lines are of the best of its places."""

    text: str
    weight: float = 0.0
    places: int = 0
    files: set[int] = field(default_factory=lambda: set[int]())
    slot: int = 0  # of the best place, 0 if the line was made from a sibling line
    slot_weight: float = 0.0
    literal: int = 0  # lines above that are the same
    shape: int = 0  # lines above that have the same shape
    next_literal: bool = False
    next_shape: bool = False
    same_file: bool = False
    same_folder: bool = False
    gap: bool = False  # a blank line above there as here
    indent: bool = False
    exact: bool = False  # copied without substitution
    replaced: int = 9
    unknown: int = 9
    sibling: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What the score needs to know of the cursor. `above`: lines before it without indentation, nearest first."""

    typed: str
    after: str
    gap: bool
    above: Sequence[str]
    total_weight: float
    rivals: int


# One line per feature: name, weight at the start of a line, weight inside a line.
WEIGHTS: dict[str, tuple[float, float]] = {
    "bias": (-4.042, -4.464),
    "literal 1": (0.985, 0.191),
    "literal 2": (0.165, 0.21),
    "literal 3": (-0.295, -0.287),
    "literal 4": (0.019, -0.048),
    "shape 1": (-1.353, 0.127),
    "shape 2": (-0.18, -0.554),
    "shape 3": (0.148, -0.042),
    "shape 4": (-0.268, -0.439),
    "share": (5.218, 4.145),
    "share squared": (-3.168, -1.703),
    "no rival": (0.294, 0.026),
    "places": (0.254, -0.15),
    "files": (0.506, 0.273),
    "same file": (-0.084, -0.084),
    "same folder": (0.145, 0.156),
    "next line": (0.75, 0.695),
    "next shape": (0.984, 0.294),
    "gap agrees": (1.201, 0.298),
    "indent agrees": (-0.368, -0.201),
    "exact": (-1.357, 0.575),
    "replaced": (-0.558, -0.852),
    "unknown names": (0.086, -0.296),
    "sibling": (0.0, 0.147),
    "sibling only": (0.0, 0.893),
    "length": (-0.294, -1.112),
    "one token": (0.636, 0.049),
    "used just above": (-0.729, -0.788),
    "used above": (0.656, 0.613),
    "new names": (-0.278, -0.179),
    "no new names": (0.46, 0.438),
    "typed tokens": (0.0, 0.769),
    "one typed": (0.0, 0.089),
    "inside a word": (0.0, 0.269),
    "rivals": (0.045, -0.05),
    "weight": (0.023, 0.182),
    "gap": (-0.328, -0.164),
    "same file, literal 2": (-0.478, -0.674),
    "next line, literal 2": (0.272, 0.288),
    "literal, share > 0.8": (0.185, 0.063),
    "opens": (0.005, 0.092),
    "share x places": (0.85, 0.953),
    "share x shape 2": (1.257, 0.99),
    "share x shape 4": (0.777, 0.607),
}


def features(e: Evidence, scene: Scene) -> tuple[float, ...]:
    """Numbers in the order of WEIGHTS."""
    rest = [t for t in tokens(e.text) if not t.isspace()]
    typed = [t for t in tokens(scene.typed) if not t.isspace()]
    share = e.weight / scene.total_weight if scene.total_weight else 0.0
    whole = (scene.typed + e.text + scene.after).strip()
    sight = " ".join(scene.above[:CONTEXT_SEEN_LINES])
    fresh = sum(1 for t in rest if is_name(t) and t not in sight and t not in scene.typed)
    literal, shape = e.literal, e.shape
    return (
        1.0,
        float(literal >= 1),
        float(literal >= 2),
        float(literal >= 3),
        float(literal >= 4),
        float(shape >= 1),
        float(shape >= 2),
        float(shape >= 3),
        float(shape >= 4),
        share,
        share * share,
        float(share > 0.999),
        log(1 + e.places),
        log(1 + len(e.files)),
        float(e.same_file),
        float(e.same_folder),
        float(e.next_literal),
        float(e.next_shape),
        float(e.gap),
        float(e.indent),
        float(e.exact),
        0.0 if e.exact else float(min(e.replaced, 4)),
        0.0 if e.exact else float(min(e.unknown, 4)),
        float(e.sibling),
        float(e.sibling and not e.files),
        log(1 + len(rest)),
        float(len(rest) == 1),
        float(whole in scene.above[:10]),
        float(whole in scene.above),
        float(min(fresh, 5)),
        float(fresh == 0),
        log(1 + len(typed)),
        float(len(typed) == 1),
        float(scene.typed[-1:].isalnum() or scene.typed[-1:] == "_"),
        log(1 + scene.rivals),
        log(1 + e.weight),
        float(scene.gap),
        float(e.same_file and literal >= 2),
        float(e.next_literal and literal >= 2),
        float(literal >= 1 and share > 0.8),
        float(e.text[-1:] in "{([:,"),
        share * log(1 + e.places),
        share * float(shape >= 2),
        share * float(shape >= 4),
    )


def probability(numbers: Sequence[float], inside: bool) -> float:
    """0..1; `inside`: part of the line is typed already."""
    column = 1 if inside else 0
    z = sum(w[column] * x for w, x in zip(WEIGHTS.values(), numbers, strict=True))
    return 1.0 / (1.0 + exp(-max(-Z_MAX, min(Z_MAX, z))))
