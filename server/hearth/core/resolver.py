"""Import resolution for a whole project at once: for the repository map and for what a change reaches.

`core.modules` answers for one import by asking the index for files of a name. For all imports of all files that is
slow, most of all where hundreds of files have the same name (`__init__.py`). Here every path is at hand, by its last
two parts, and answers are remembered: django's 2,800 files take 0.1 s instead of 4.
"""

from collections.abc import Iterable

from hearth.core import modules
from hearth.core.facts import Import
from hearth.core.grammars import language_of
from hearth.core.impact import hands_on

RESOLVED_KEPT_MAX = 100_000

_NAMED_BY_FILE = frozenset(("rust",))
"""Languages in which it depends on the importing file's own name what an import means, not only on its folder."""
_ANY_FILE = "?"


class Resolver:
    """Import resolution for a whole project: `core.modules` with its answers remembered, and every path at hand.

    `paths` must be all that imports may lead to; make a new one when files come or go.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_end: dict[str, list[str]] = {}
        self._by_folder: dict[str, list[str]] = {}
        for path in paths:
            folder, _, name = path.rpartition("/")
            self._by_end.setdefault(name, []).append(path)
            self._by_folder.setdefault(folder.rpartition("/")[2], []).append(path)
            if folder:
                self._by_end.setdefault(f"{folder.rpartition('/')[2]}/{name}", []).append(path)
        self._known: dict[tuple[str, str, str], tuple[str, ...]] = {}

    def files(self, path: str, imports: Iterable[Import]) -> tuple[str, ...]:
        """The files that the imports of `path` mean, each once, in their order."""
        language = language_of(path)
        found: dict[str, None] = {}
        for one in imports:
            whole = self._resolved(language, one.module, path)
            found.update(dict.fromkeys(whole))
            if not whole or any(map(hands_on, whole)):
                # What is taken out of a package may be a module of it.
                for name, _ in one.names:
                    if inner := modules.inner(language, one.module, name):
                        found.update(dict.fromkeys(self._resolved(language, inner, path)))
        found.pop(path, None)
        return tuple(found)

    def _resolved(self, language: str, module: str, importer: str) -> tuple[str, ...]:
        # Two files of one folder mean the same by the same words, but for the languages that go by the file's own name,
        # and unless one of the two is meant.
        folder, slash, name = importer.rpartition("/")
        asker = importer if language in _NAMED_BY_FILE else f"{folder}{slash}{_ANY_FILE}{name[name.rfind('.') :]}"
        known = self._known.get((language, module, asker))
        if known is None:
            known = self._look(language, module, asker)
            if len(self._known) < RESOLVED_KEPT_MAX:
                self._known[language, module, asker] = known
        return self._look(language, module, importer) if importer in known else known

    def _look(self, language: str, module: str, importer: str) -> tuple[str, ...]:
        for candidate in modules.candidates(language, module, importer):
            if candidate.endswith("/"):
                paths = self._by_folder.get(candidate.strip("/").rpartition("/")[2], ())
            else:
                parts = candidate.lstrip("/").rsplit("/", 2)[-2:]
                # A path from the project's folder may have no folder before its name.
                paths = self._by_end.get("/".join(parts), ())
            if paths and (found := modules.best((candidate,), paths, importer)):
                return found
        return ()
