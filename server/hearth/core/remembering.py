"""Remembers what a project answered until the project changes: at each key the same things are asked again."""

from collections.abc import Iterator, Mapping, Sequence

from hearth.core.facts import Import, Symbol
from hearth.core.retrieval import Hit, Known

NAMES_KEPT_MAX = 20_000
FILES_KEPT_MAX = 200
MODULES_KEPT_MAX = 4_000

Places = Sequence[tuple[str, Symbol]]


class Remembering:
    """A `retrieval.Known` that asks another one once. `forget` whenever what that knows has changed."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._places: dict[tuple[str, int], Places] = {}
        self._symbols: dict[str, Sequence[Symbol]] = {}
        self._imports: dict[str, Sequence[Import]] = {}
        self._modules: dict[tuple[str, str, str], Sequence[str]] = {}

    def forget(self) -> None:
        """Everything may be different now."""
        for one in (self._places, self._symbols, self._imports, self._modules):
            one.clear()

    def definitions(self, names: Sequence[str], per_name_max: int) -> Mapping[str, Places]:
        missing = [name for name in names if (name, per_name_max) not in self._places]
        if missing:
            if len(self._places) + len(missing) > NAMES_KEPT_MAX:
                self._places.clear()
                missing = list(names)
            found = self._known.definitions(missing, per_name_max)
            self._places.update({(name, per_name_max): found.get(name, ()) for name in missing})
        return dict(self._met(names, per_name_max))

    def _met(self, names: Sequence[str], per_name_max: int) -> Iterator[tuple[str, Places]]:
        for name in names:
            if places := self._places[name, per_name_max]:
                yield name, places

    def symbols_in(self, path: str) -> Sequence[Symbol]:
        if path not in self._symbols:
            if len(self._symbols) >= FILES_KEPT_MAX:
                self._symbols.clear()
            self._symbols[path] = self._known.symbols_in(path)
        return self._symbols[path]

    def imports_in(self, path: str) -> Sequence[Import]:
        if path not in self._imports:
            if len(self._imports) >= FILES_KEPT_MAX:
                self._imports.clear()
            self._imports[path] = self._known.imports_in(path)
        return self._imports[path]

    def resolve(self, language: str, module: str, importer: str) -> Sequence[str]:
        key = (language, module, importer)
        if key not in self._modules:
            if len(self._modules) >= MODULES_KEPT_MAX:
                self._modules.clear()
            self._modules[key] = self._known.resolve(language, module, importer)
        return self._modules[key]

    def search(self, query: Mapping[str, float], limit: int, without_path: str) -> Sequence[Hit]:
        return self._known.search(query, limit, without_path)
