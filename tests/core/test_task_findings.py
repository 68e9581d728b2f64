"""What is found to be wrong with a change, and what is not: names that are gone, imports of nothing, weaker tests."""

import pytest

from hearth.core.task_findings import findings, weakened
from hearth.core.task_parts import Step
from hearth.core.task_reach import impacted, new_files, quoted
from hearth.core.task_survey import Survey, names_in, paths_in

SHOP = {
    "shop/__init__.py": "from shop.prices import net_price, VAT\n",
    "shop/prices.py": (
        "VAT = 0.19\n\n\ndef net_price(gross):\n    return gross / (1 + VAT)\n\n\ndef run(x):\n    return x\n"
    ),
    "shop/bill.py": "from shop.prices import net_price\n\n\ndef bill(items):\n    return sum(map(net_price, items))\n",
    "shop/late.py": "from shop import prices\n\n\ndef late(x):\n    return prices.run(x)\n",
    "jobs/loop.py": "def run(x):\n    return x\n\n\nrun(1)\n",
    "README.md": "Call `net_price`.\n",
    "CHANGELOG.md": "- added net_price\n",
    "conf/app.toml": 'hook = "net_price"\n',
    "tests/test_bill.py": "from shop.bill import bill\n\n\ndef test_bill():\n    assert bill([119]) == 100\n",
    "web/app.ts": 'import { show } from "./show";\nshow("order:placed");\n',
    "web/show.ts": "export function show(event: string) { return event; }\n",
    "web/bus.ts": 'export const EVENTS = { a: "order:placed" };\n',
    "lang/de.json": '{"cart_title": "Korb", "cart_sum": "Summe"}\n',
    "lang/fr.json": '{"cart_title": "Panier", "cart_sum": "Somme"}\n',
}


def wrong(changes: dict[str, str | None], goal: str = "", base: dict[str, str] = SHOP) -> list[tuple[str, str]]:
    after = {**base, **{path: text for path, text in changes.items() if text is not None}}
    for path, text in changes.items():
        if text is None:
            after.pop(path, None)
    return [(one.kind, one.path) for one in findings(Survey(base), Survey(after), changes, goal)]


def renamed(path: str, old: str, new: str) -> str:
    return SHOP[path].replace(old, new)


def test_a_name_that_says_much_is_looked_for_everywhere():
    found = wrong({"shop/prices.py": renamed("shop/prices.py", "net_price", "without_vat")})
    assert sorted(set(found)) == [
        ("import", "shop/__init__.py"), ("import", "shop/bill.py"), ("stale", "README.md"), ("stale", "conf/app.toml"),
        ("stale", "shop/__init__.py"), ("stale", "shop/bill.py"),
    ]  # fmt: skip


def test_a_name_that_says_little_only_where_it_is_surely_meant():
    found = wrong({"shop/prices.py": SHOP["shop/prices.py"].replace("def run(x)", "def perform(x)")})
    assert found == []  # `run` is a name of its own elsewhere, too
    base = {path: text for path, text in SHOP.items() if path != "jobs/loop.py"}
    base["shop/prices.py"] = base["shop/prices.py"].replace("run", "levy")
    base["shop/late.py"] = base["shop/late.py"].replace("run", "levy")
    base["notes.md"] = "We levy and run.\n"
    found = wrong({"shop/prices.py": base["shop/prices.py"].replace("levy", "raised")}, base=base)
    assert found == [("stale", "shop/late.py")]


def test_a_whole_rename_leaves_nothing():
    changes = {path: text.replace("net_price", "without_vat") for path, text in SHOP.items() if "net_price" in text}
    assert wrong(changes, "Rename net_price to without_vat") == []


def test_what_was_to_be_renamed_and_was_not():
    assert wrong({"README.md": "Call it.\n"}, "Rename `net_price` to `without_vat`") == [
        ("stale", "shop/prices.py"),
        ("name", ""),
    ]


def test_a_moved_definition_is_missed_by_who_imports_it_from_there():
    prices = SHOP["shop/prices.py"].replace("def net_price(gross):\n    return gross / (1 + VAT)\n\n\n", "")
    moved = "from shop.prices import VAT\n\n\ndef net_price(gross):\n    return gross / (1 + VAT)\n"
    found = wrong({"shop/prices.py": prices, "shop/net.py": moved})
    assert sorted(set(found)) == [("import", "shop/__init__.py"), ("import", "shop/bill.py")]


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("shop/bill.py", "from shop.prices import nett_price\n", "import"),
        ("shop/bill.py", "from shop.nowhere import x\n", "import"),
        ("shop/bill.py", "from .prices import VAT\nimport json, decimal\nfrom pathlib import Path\n", ""),
        ("web/app.ts", 'import { hide } from "./show";\n', "import"),
        ("web/app.ts", 'import { show } from "./shown";\n', "import"),
        ("web/app.ts", 'import React, { useState } from "react";\nimport "./style.css";\n', ""),
        ("shop/bill.py", "def bill(:\n", "parse"),
    ],
)
def test_imports_and_syntax(path: str, text: str, kind: str):
    found = {one for one, where in wrong({path: text}) if where == path and one in ("import", "parse")}
    assert found == ({kind} if kind else set())


UNBOUND = (
    ("a.py", "from shop import prices as taxes\n\nx = taxes.net_price(1)\n", "from shop import prices\n", True),
    ("a.py", "from shop import prices\n\nx = prices.net_price(1)\n", "from shop import bill\n", True),
    ("a.py", "import json\n\nx = json.loads('1')\n", "", True),
    ("a.ts", 'import { show } from "./web/show";\nshow("x");\n', "", True),
    ("a.py", "import json\n\njson = None\njson.x\n", "", False),
    ("a.py", "import json\n\n# see json.loads\n", "", False),
    ("a.py", "import json\n\n\ndef f(json):\n    return json.loads('1')\n", "", False),
    ("a.py", "import json\n\nx.json.loads('1')\n", "", False),
    ("a.ts", 'import { show } from "./web/show";\n[1].map((show) => show.x);\n', "", False),
)


@pytest.mark.parametrize(("path", "text", "head", "unbound"), UNBOUND)
def test_a_name_that_is_imported_no_longer_and_used(path: str, text: str, head: str, unbound: bool):
    """The first line goes, or another comes in its place."""
    changed = head + text.partition("\n")[2]
    assert wrong({path: changed}, base={**SHOP, path: text}) == ([("stale", path)] if unbound else [])
    assert wrong({path: text + "\n"}, base={**SHOP, path: text}) == []


def test_a_text_that_was_taken_out_still_stands_elsewhere():
    assert wrong({"web/app.ts": SHOP["web/app.ts"].replace("placed", "confirmed")}) == [("stale", "web/bus.ts")]


def test_a_slip_of_the_pen_is_found():
    text = SHOP["shop/bill.py"].replace("map(net_price", "map(net_prcie")
    assert ("name", "shop/bill.py") in wrong({"shop/bill.py": text})
    assert wrong({"shop/bill.py": SHOP["shop/bill.py"].replace("items", "goods")}) == []


TEST = """\
import pytest


def test_a():
    assert f() == 1
    assert g()


def test_b():
    with pytest.raises(E):
        f()
"""


@pytest.mark.parametrize(
    ("after", "weaker"),
    [
        (TEST, False),
        (TEST.replace("== 1", "== 2"), False),
        (TEST + "\n\ndef test_c():\n    assert h()\n", False),
        (TEST.replace("test_a", "test_renamed"), False),
        (TEST.replace("    assert g()\n", ""), True),
        (TEST.replace("assert g()", "g()"), True),
        (TEST.replace("assert g()", "assert True or g()"), True),
        (TEST.replace("assert g()", "assert True"), True),
        (TEST.replace("def test_b", "@pytest.mark.skip\ndef test_b"), True),
        (TEST.replace("def test_b", "def check_b"), True),
        ("", True),
        (None, True),
    ],
)
def test_weaker_tests(after: str | None, weaker: bool):
    texts = {} if after is None else {"tests/test_x.py": after}
    found = weakened({"tests/test_x.py": TEST}, texts, ["tests/test_x.py"])
    assert bool(found) == weaker
    assert {one.kind for one in found} <= {"weakened"}


def test_a_test_that_moves_is_not_weaker():
    before, after = {"tests/test_x.py": TEST}, {"tests/unit/test_x.py": TEST}
    assert weakened(before, after, ["tests/test_x.py", "tests/unit/test_x.py"]) == []
    assert weakened(before, {"docs/old.txt": TEST}, ["tests/test_x.py", "docs/old.txt"])


# What is impacted


def reached(goal: str, symbols: tuple[str, ...] = (), files: tuple[str, ...] = ()) -> dict[str, bool]:
    return {one.path: one.sure for one in impacted(Survey(SHOP), goal, symbols, files, ())}


def test_who_uses_describes_and_configures_a_name_is_impacted():
    found = reached("x", ("net_price",))
    sure = {path for path, certain in found.items() if certain}
    assert {"shop/prices.py", "shop/__init__.py", "shop/bill.py", "README.md", "conf/app.toml"} <= sure


def test_who_imports_or_shares_a_text_or_keys_is_impacted():
    assert reached("x", files=("shop/bill.py",))["tests/test_bill.py"]
    assert reached("x", files=("web/app.ts",))["web/bus.ts"]
    assert reached("x", files=("lang/de.json",))["lang/fr.json"]
    assert reached("The event `order:placed` is called `order:confirmed`")["web/bus.ts"]


def test_a_file_to_be_made_is_impacted():
    goal = "Write docs/prices/net.md about it, see https://example.org/a/b.html and ../x/y.txt"
    assert new_files(goal, Survey(SHOP)) == ("docs/prices/net.md",)
    assert reached(goal)["docs/prices/net.md"]


def test_names_in_a_goal():
    assert names_in("Rename `total` and netPrice, not Words") == ("total", "netPrice")
    assert quoted('Make `GET /entries` give "items" and 10') == ("GET", "/entries", "items")
    known = ["shop/bill.py", "shop/late.py", "a/__init__.py"]
    assert paths_in("see bill.py and shop/late.py and __init__.py", known) == (
        "shop/bill.py", "shop/late.py", "a/__init__.py",
    )  # fmt: skip


def test_search_finds_what_a_question_says():
    hits = Survey(SHOP).search("how is the price without VAT computed")
    assert hits[0].path == "shop/prices.py"
    assert Survey({}).search("x") == []


def test_a_map_of_a_project_of_loose_files():
    assert "def only()" in Survey({"a.py": "def only():\n    pass\n"}).map(500)
    assert "net_price" in Survey(SHOP).map(500)
    assert Survey({}).map(500) == ""


PUBLIC = {
    "api.py": (
        "from tax import rate\n\n\ndef net(gross):\n    return gross / (1 + rate())\n\n\n"
        "def gross(net):\n    return net * (1 + rate())\n\n\ndef _seen(x):\n    return x\n"
    ),
    "tax.py": "def rate():\n    return 0.19\n",
    "bill.py": "class Bill:\n    def gross(self):\n        return 1\n",
    "tests/test_api.py": "def gross():\n    return 2\n\n\ndef test_it():\n    assert gross() == 2\n",
    "package.json": '{"gross": 1}\n',
}
ONE = "from tax import rate\n\n\ndef net(gross):\n    return round(gross / (1 + rate()), 2)\n"


def gone(before: dict[str, str], changes: dict[str, str | None], goal: str, *steps: Step) -> list[str]:
    """The names that are told to be gone."""
    after = {path: text for path, text in {**before, **changes}.items() if text is not None}
    found = findings(Survey(before), Survey(after), changes, goal, steps)
    return [one.text.split("`")[1] for one in found if one.kind == "gone"]


@pytest.mark.parametrize(
    ("goal", "names"),
    [
        ("Round to two digits.", ["gross"]),
        ("Convert `gross` to use Decimal.", ["gross"]),
        ("Replace print with logging in gross and net.", ["gross"]),
        ("Clean up the billing code. Add types to gross.", ["gross"]),
        ("Remove the print of net. Round gross.", ["gross"]),
        ("Round net, and remove gross.", []),
        ("Drop the unused functions of api.py.", []),
        ("Rename gross to with_tax.", []),
        ("Replace gross by a call of net.", []),
        ("Turn gross into a constant.", []),
        ("We no longer need gross.", []),
    ],
)
def test_a_definition_that_goes_without_a_word_is_asked_about(goal: str, names: list[str]):
    assert gone(PUBLIC, {"api.py": ONE}, goal) == names


def test_a_step_speaks_of_its_own_files():
    assert gone(PUBLIC, {"api.py": ONE}, "Round.", Step("Round net", ("api.py",))) == ["gross"]
    assert gone(PUBLIC, {"api.py": ONE}, "Round.", Step("Remove gross, which nobody uses", ("api.py",))) == []
    assert gone(PUBLIC, {"api.py": ONE}, "Round.", Step("Remove the unused helpers", ("bill.py",))) == ["gross"]
    found = findings(Survey(PUBLIC), Survey({**PUBLIC, "api.py": ONE}), ["api.py"], "Round.")
    assert [one.text for one in found] == ["`gross` is defined nowhere any more, and nobody said that it is to go"]


def test_a_definition_that_has_another_name_or_place_is_not_missed():
    rest = PUBLIC["api.py"].split("\n\n\n")[2]
    assert gone(PUBLIC, {"api.py": ONE, "other.py": f"from tax import rate\n\n\n{rest}\n"}, "Split it up.") == []
    moved = rest.replace("gross", "with_tax")
    assert gone(PUBLIC, {"api.py": ONE, "other.py": f"from tax import rate\n\n\n{moved}\n"}, "Split it up.") == []
    assert gone(PUBLIC, {"api.py": f"{ONE}\n\n{moved}\n"}, "Better names.") == []
    assert gone(PUBLIC, {"api.py": f"from prices import gross\n{ONE}"}, "Use the library.") == []
    assert gone(PUBLIC, {"api.py": None}, "Tidy up.") == []


def test_what_is_still_used_is_missed_also_where_the_use_is_waived():
    base = {
        **PUBLIC,
        "README.md": "Call `net_of_all`.\n",
        "all.py": "def net_of_all(x):\n    return x\n\n\nLIMIT = 1\n",
    }
    assert sorted(kind for kind, _ in wrong({"all.py": "LIMIT = 2\n"}, "Raise the limit.", base)) == ["gone", "stale"]


def test_of_a_class_its_methods_are_missed_unless_it_is_made_anew():
    add = "    def add(self, x):\n        self.x = x\n"
    whole = f"class Sum:\n    def __eq__(self, other):\n        return True\n\n{add}"
    base = {"sums.py": f"{whole}\n    def clear(self):\n        ...\n", "c.py": "class C:\n    def clear(self): ...\n"}
    assert gone(base, {"sums.py": whole}, "Add a docstring.") == ["Sum.clear"]
    assert gone(base, {"sums.py": whole}, "Make Sum simpler.") == []
    assert "Sum.__eq__" in gone(base, {"sums.py": f"class Sum:\n{add}"}, "Add.")


def test_constants_are_missed_and_variables_are_not():
    base = {"main.py": "LIMIT = 3\nOTHER = 4\nresult = 1\nprint(result)\n"}
    assert gone(base, {"main.py": "OTHER = 5\nprint(1)\n"}, "Print.") == ["LIMIT"]


def test_each_definition_that_goes_is_a_finding():
    many = {"many.py": "".join(f"def number_{n}():\n    return {n}\n\n\n" for n in range(9)) + "def main():\n    ...\n"}
    assert gone(many, {"many.py": "def main():\n    print()\n"}, "Print.") == [f"number_{n}" for n in range(9)]
