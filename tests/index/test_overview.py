"""The project as a whole, out of a real manifest that real analysis has filled."""

import json
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from hearth.core.analysis import analysed
from hearth.core.grammars import language_of
from hearth.index.manifest import FileEntry, Manifest
from hearth.index.overview import TOKENS_MAX, Overview

FILES = {
    "shop/__init__.py": "from .order import Order, submit_order\n",
    "shop/order.py": '''\
from shop.base import Base


class Order(Base):
    """An order."""

    total_price: int = 0

    def submit(self, when: str) -> None:
        self.total_price += 1


def submit_order(order: Order) -> None:
    order.submit("now")
''',
    "shop/base.py": "class Base:\n    def describe_it(self) -> str:\n        return ''\n",
    "view.py": "from shop import submit_order\n\n\ndef show_page(x):\n    submit_order(x)\n    submit_order(None)\n",
    "cli.py": "import view\n\nview.show_page(1)\n",
    "other/order.py": "def submit_order(x):\n    pass\n",
    "other/use.py": "from other.order import submit_order\n\nsubmit_order(3)\n",
    "web/cart.ts": "import { money } from './money'\nexport function cartTotal(): string { return money(1) }\n",
    "web/money.ts": "export function money(x: number): string { return `${x}` }\n",
    "notes.md": "# Order\n\nsubmit_order is used here\n",
}


def entry(path: str, text: str) -> FileEntry:
    language = language_of(path)
    facts = analysed(language, text)
    uids = tuple(crc32(f"{path} {n}".encode()) for n in range(len(facts.chunks)))
    return FileEntry(path, b"d", len(text), 1, language, facts, uids)


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    made = Manifest(tmp_path / "manifest.sqlite")
    made.replace([entry(path, text) for path, text in FILES.items()])
    yield made
    made.close()


def test_who_imports_whom(manifest: Manifest) -> None:
    overview = Overview(manifest)
    assert overview.imports() == {
        "shop/__init__.py": ("shop/order.py",),
        "shop/order.py": ("shop/base.py",),
        "view.py": ("shop/__init__.py",),
        "cli.py": ("view.py",),
        "other/use.py": ("other/order.py",),
        "web/cart.ts": ("web/money.ts",),
    }


def test_the_map(manifest: Manifest) -> None:
    overview = Overview(manifest)
    text = overview.answered({"do": "map", "tokens": 400})["map"]
    lines = text.splitlines()
    assert "shop/order.py:" in lines
    assert "  def submit_order(order: Order) -> None" in lines
    assert lines.index("shop/base.py:") < lines.index("shop/order.py:")
    about = overview.answered({"do": "map", "tokens": 20, "conversation": ["cli.py"], "mentioned": []})["map"]
    assert about == "view.py:\n  def show_page(x)"
    assert overview.answered({"do": "map", "tokens": 0})["map"] == ""
    assert len(overview.map(10**9, [], [])) <= TOKENS_MAX * 4


def test_the_map_follows_changes(manifest: Manifest) -> None:
    overview = Overview(manifest)
    overview.map(400, [], [])
    manifest.replace([entry("new.py", "def brand_new_thing(a):\n    pass\n"),
                      entry("cli.py", "import new\n\nnew.brand_new_thing(1)\n")])  # fmt: skip
    assert "brand_new_thing" not in overview.map(400, [], [])
    overview.changed()
    assert "def brand_new_thing(a)" in overview.map(400, [], [])
    assert overview.imports()["cli.py"] == ("new.py",)


def test_what_a_symbol_reaches(manifest: Manifest) -> None:
    overview = Overview(manifest)
    found = overview.answered({"do": "impact", "name": "submit_order", "path": "shop/order.py", "depth": 3})
    assert found["definitions"] == [["shop/order.py", 12]]
    sure = [path for path, _, sure in found["referrers"] if sure]
    assert set(sure) == {"view.py", "shop/__init__.py"}
    assert ["other/use.py", 1, False] in [[path, min(count, 1), sure] for path, count, sure in found["referrers"]]
    assert [line for line in found["lines"] if line[0] == "view.py"] == [
        ["view.py", 0, 17, "from shop import submit_order"],
        ["view.py", 4, 4, "submit_order(x)"],
        ["view.py", 5, 4, "submit_order(None)"],
    ]
    assert found["importers"] == [["shop/__init__.py", 1], ["view.py", 2], ["cli.py", 3]]
    assert json.loads(json.dumps(found)) == found
    everywhere = overview.impact("submit_order", "", 1)
    assert {path for path, _ in everywhere["definitions"]} == {"shop/order.py", "other/order.py"}
    assert all(sure for _, _, sure in everywhere["referrers"])


def test_a_method_by_its_class(manifest: Manifest) -> None:
    overview = Overview(manifest)
    assert overview.impact("Order.submit", "", 1)["definitions"] == [["shop/order.py", 8]]
    assert overview.impact("Other.submit", "", 1)["definitions"] == []
    assert overview.impact("unknown", "", 1) == {"definitions": [], "referrers": [], "lines": [], "importers": []}


def test_what_a_file_reaches(manifest: Manifest) -> None:
    overview = Overview(manifest)
    assert overview.answered({"do": "impact", "path": "shop/base.py"})["importers"] == [["shop/order.py", 1]]
    assert [path for path, _ in overview.impact("", "shop/base.py", 9)["importers"]] == [
        "shop/order.py", "shop/__init__.py", "view.py", "cli.py",
    ]  # fmt: skip
    assert overview.impact("", "nowhere.py", 9)["importers"] == []


@pytest.mark.parametrize(
    "message", [{}, {"do": "x"}, {"do": "map"}, {"do": "map", "tokens": "x"}, {"do": "impact", "depth": []},
                {"do": "map", "tokens": 1, "mentioned": 7}]
)  # fmt: skip
def test_a_message_that_does_not_fit(manifest: Manifest, message: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        Overview(manifest).answered(message)


def test_an_empty_project(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "empty.sqlite")
    overview = Overview(manifest)
    assert overview.map(100, ["a.py"], ["b"]) == ""
    assert overview.impact("x", "", 1)["referrers"] == []
    manifest.close()
