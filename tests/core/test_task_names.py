"""Names that hang in the air in a change: found where they are slips, and not where they only look like one."""

import pytest

from hearth.core.task_names import name_findings, near, quoted_in
from hearth.core.task_survey import Survey
from hearth.core.task_tokens import tokens

BASE = {
    "shop/cart.py": (
        "class Cart:\n    def __init__(self, currency):\n        self.currency = currency\n        self.lines = []\n\n"
        '    def total_cents(self):\n        return sum(line["price_cents"] for line in self.lines)\n'
    ),
    "web/cart.js": "export function shown(cart) {\n  return `${cart.totalCents} ${cart.currency}`;\n}\n",
    "web/page.html": '<div class="cart-line" id="cart-total"></div>\n',
    "web/page.css": ".cart-line { color: red; }\n#cart-total { color: blue; }\n",
    "lang/en.json": '{"cart.title": "Cart", "cart.total": "Total", "cart.empty": "Nothing"}\n',
    "lang/de.json": '{"cart.title": "Korb", "cart.total": "Summe", "cart.empty": "Nichts"}\n',
    "README.md": "`Cart` has a `currency` and `total_cents()`.\n",
}


def names(changes: dict[str, str], goal: str = "") -> list[str]:
    """The names that findings begin with, with their files."""
    after = {**BASE, **changes}
    found = name_findings(Survey(BASE), Survey(after), sorted(changes), goal)
    return [f"{one.path}: {one.text.split('`')[1]}" for one in found]


def cart(more: str) -> dict[str, str]:
    return {"shop/cart.py": BASE["shop/cart.py"] + more}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (cart("\n    def shown(self):\n        return self.curency\n"), ["shop/cart.py: curency"]),
        (cart("\n    def shown(self):\n        return self.get_currency\n"), ["shop/cart.py: get_currency"]),
        (cart("\n    def shown(self):\n        return [one['priceCents'] for one in self.lines]\n"),
         ["shop/cart.py: priceCents"]),
        (cart("\n    def shown(self):\n        return total_cents(self)\n\n    def other(x):\n        return xx\n"),
         ["shop/cart.py: total_cents", "shop/cart.py: xx"]),
        (cart("\n    def shown(self, line):\n        return line.start_swith('x')\n"), ["shop/cart.py: start_swith"]),
        ({"web/cart.js": "export const a = (cart) => cart.totalCent;\n"}, ["web/cart.js: totalCent"]),
        ({"web/cart.js": "export const a = ({ curency }) => 1;\n"}, ["web/cart.js: curency"]),
        ({"web/page.css": BASE["web/page.css"] + ".cart-lines { color: green; }\n"}, ["web/page.css: cart-lines"]),
        ({"README.md": "`Cart` has `totalCents()` and total__cents.\n"}, ["README.md: total__cents"]),
        ({"lang/en.json": '{"cart.title": "Cart", "cart.total": "Total", "cart.empty": "", "cart.tax": "Tax"}\n'},
         ["lang/de.json: cart.tax"]),
    ],
)  # fmt: skip
def test_slips_are_found(changes, found):
    assert names(changes) == found


@pytest.mark.parametrize(
    "changes",
    [
        # A variable, whatever it is called; the one of many.
        cart("\n    def shown(self):\n        return [lines for lines in self.lines]\n"),
        cart("\n    def shown(self):\n        liness = self.lines\n        return liness\n"),
        # Defined and used, be it next to one of almost the same name.
        cart(
            "\n    def total_cent(self):\n        return 1\n\n    def shown(self):\n        return self.total_cent()\n"
        ),
        # A library's.
        cart("\n    def shown(self):\n        return self.currency.casefold().expandtabs()\n"),
        # As another language or a command line writes it.
        {
            **cart("\nparser.add_argument('--price-cents')\ngiven.price_cents\n"),
            "shop/parser.py": "parser = given = 1\n",
        },
        {"web/cart.js": 'export const a = (body) => body.dataset.cartLine ?? "cart-line";\n'},
        # Tests are called by nobody, and what they are given is theirs.
        {"tests/test_cart.py": "def test_total_cent():\n    assert 'currencyy'\n"},
        # Texts for people.
        {"lang/en.json": '{"cart.title": "carts", "cart.total": "Totals", "cart.empty": "x"}\n'},
    ],
)
def test_what_only_looks_like_a_slip_is_not(changes):
    found = [one for one in names(changes) if "given" not in one and "parser" not in one]
    assert found == []


def test_what_the_goal_spells_out_must_be_there():
    goal = "Add `Cart.discount_rate` and show `discountRate` in web/cart.js"
    wrong = cart("\n    discount_rates = 1\n")
    assert names(wrong, goal) == ["shop/cart.py: discount_rates", "shop/cart.py: discountRate"]
    right = {**cart("\n    discount_rate = 1\n"), "web/cart.js": "export const a = (cart) => cart.discountRate;\n"}
    assert names(right, goal) == []
    assert quoted_in(goal) == ("Cart", "discount_rate", "discountRate")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("max_attempts", "maxAttempts", True), ("max_attempts", "max_attempt", True), ("share", "get_share", True),
        ("currency", "curency", True), ("receive", "recieve", True), ("currency", "Currency", False),
        ("max-attempts", "max_attempts", False), ("done", "none", False), ("badge-new", "badge-low", False),
        ("TextEdit", "textEdits", False), ("LIMIT", "limits", False), ("register", "unregister", False),
        ("merged", "merge", False), ("merge", "merged", True), ("cart", "card_holder", False),
        ("line", "line", False), ("a1", "a2", False), ("", "x", False),
    ],
)  # fmt: skip
def test_what_is_almost_the_same(one, other, expected):
    assert near(one, other) is expected


def test_what_a_name_is_in_its_place():
    found = {(one.name, one.role) for one in tokens("a.py", 'import os\nx.total = row["left"]\nd = {"right": y}\n')}
    assert found == {("os", "local"), ("x", "uses"), ("total", "binds"), ("row", "uses"), ("left", "uses"),
                     ("d", "binds"), ("right", "binds"), ("y", "uses")}  # fmt: skip
    found = {(one.name, one.role) for one in tokens("a.ts", "const f = ({ left }: P) => left.right;\n")}
    assert {("f", "binds"), ("left", "uses"), ("right", "uses")} <= found
    assert [one.name for one in tokens("a.sql", "ALTER TABLE tasks ADD due TEXT;")][-2:] == ["due", "TEXT"]
    assert tokens("a.unknown-language.go", "func main() {}") == []
