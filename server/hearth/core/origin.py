"""Where a text came from, and where it may be about to go.

Everything that stands in a prompt, an index, a log or a request has origins. What is made from other texts (a summary,
an answer, a compacted conversation) has the origins of all of them: so a file that may not leave cannot leave in other
words. Nothing here judges; `core.policy` does.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["file", "tool", "user", "summary", "product"]
"""file: text of a file. tool: what a tool or command put out. user: the user's own words. summary: made from others.
product: Hearth's own words, the same for everybody."""
Destination = Literal["machine", "own", "cloud"]
"""machine: this one. own: a host that the user declared as their own. cloud: any other."""
DESTINATIONS: tuple[Destination, ...] = get_args(Destination)
"""From the nearest to the farthest."""
WHOLE = -1
"""As `Origin.end`: the file from `start` to its end."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One source of a text.

    `path` is relative to `folder`, with "/"; "" for none. `folder` is the absolute path of a workspace folder; "" for
    none, then `path` is absolute (a file outside of the workspace) or "" (a document that was never saved). A path
    counts whatever the kind: what a tool read from a file is that file's text. `start` and `end` are 0-based lines,
    `end` is behind the last one or WHOLE. `parents` are what a text was made from. `name` says which tool it was.
    """

    kind: Kind
    path: str = ""
    folder: str = ""
    start: int = 0
    end: int = WHOLE
    parents: "tuple[Origin, ...]" = ()
    name: str = ""

    @property
    def label(self) -> str:
        """In words for the user, lines counted from 1: `src/a.py, lines 3-9`."""
        if not self.path:
            own = {"file": "an unsaved document", "user": "your words", "summary": "a summary", "product": "Hearth"}
            return own.get(self.kind) or (f"the output of {self.name}" if self.name else "a tool's output")
        if self.end == WHOLE:
            return f"{self.path}, from line {self.start + 1}" if self.start else self.path
        if self.end <= self.start + 1:
            return f"{self.path}, line {self.start + 1}"
        return f"{self.path}, lines {self.start + 1}-{self.end}"


PRODUCT = Origin("product")
USER = Origin("user")


def file_origin(folder: str, path: str, start: int = 0, end: int = WHOLE) -> Origin:
    """Lines `start` to `end` of a file."""
    return Origin("file", path, folder, start, end)


def tool_origin(name: str, read: Iterable[Origin] = ()) -> Origin:
    """What a tool put out; `read`: the origins of what it was given or is known to have read."""
    return Origin("tool", name=name, parents=sources(read))


def summary_of(origins: Iterable[Origin], name: str = "") -> Origin:
    """The origin of a text that was made from texts with these origins: it inherits every one of them.

    Summaries of summaries do not nest: `parents` are the sources themselves. Without any, nothing is known of the text.
    """
    return Origin("summary", name=name, parents=sources(origins))


def sources(origins: Iterable[Origin]) -> tuple[Origin, ...]:
    """What texts with these origins come from in the end, each once, without parents, in the order of their first
    appearance; stretches of one file that touch or overlap are one.

    A summary stands for its sources; one that names none stays, as something of which nothing is known.
    """
    return tuple(_joined(list(dict.fromkeys(_leaves(origins)))))


def files_of(origins: Iterable[Origin]) -> tuple[Origin, ...]:
    """Those of the sources that are files, for "everything that ever left of this file"."""
    return tuple(origin for origin in sources(origins) if origin.path)


def _leaves(origins: Iterable[Origin]) -> Iterator[Origin]:
    # By identity and without recursion: shared parents are looked at once, and no depth of nesting is too much.
    seen: set[int] = set()
    waiting = list(origins)[::-1]
    held: list[Origin] = []
    while waiting:
        origin = waiting.pop()
        if id(origin) in seen:
            continue
        seen.add(id(origin))
        held.append(origin)  # keeps the identity taken
        if origin.kind != "summary" or origin.path or not origin.parents:
            yield Origin(origin.kind, origin.path, origin.folder, origin.start, origin.end, (), origin.name)
        waiting.extend(reversed(origin.parents))


def _joined(origins: Sequence[Origin]) -> Iterator[Origin]:
    """Stretches of one file, of one kind, made one where nothing lies between them."""
    groups: dict[tuple[Kind, str, str, str], list[Origin]] = {}
    for origin in origins:
        groups.setdefault((origin.kind, origin.folder, origin.path, origin.name), []).append(origin)
    for (kind, folder, path, name), group in groups.items():
        if len(group) == 1 or not path:
            yield from group
            continue
        group.sort(key=lambda origin: origin.start)
        start, end = group[0].start, group[0].end
        for origin in group[1:]:
            if end == WHOLE or origin.start <= end:
                end = WHOLE if WHOLE in (end, origin.end) else max(end, origin.end)
            else:
                yield Origin(kind, path, folder, start, end, (), name)
                start, end = origin.start, origin.end
        yield Origin(kind, path, folder, start, end, (), name)
