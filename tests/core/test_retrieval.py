"""Contexts of a small project, written out whole; their limits, their order, and what is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.analysis import analysed
from hearth.core.facts import Facts, Import, Symbol
from hearth.core.grammars import language_of
from hearth.core.modules import resolved
from hearth.core.outline import SIGNATURE_CHARS_MAX, shortened
from hearth.core.remembering import Remembering
from hearth.core.retrieval import WEIGHTS, Fragment, context, features, likelihood
from hearth.core.sight import ABOVE_LINES_MAX, BELOW_LINES_MAX, Mode, Sight, mode_of, names_in, sight_at
from hearth.core.terms import completion_query, document_vector, query_vector

FILES = {
    "shop/models.py": """\
class Item:
    name: str
    price: float

    def discounted(self, rate: float) -> float:
        return self.price * (1 - rate)


class Order(Record):
    items: list[Item]

    def add(self, item: Item, count: int = 1) -> None:
        self.items += [item] * count

    def total(self) -> float:
        return sum(item.price for item in self.items)
""",
    "shop/records.py": """\
class Record:
    key: int

    def save(self) -> None:
        write(self)
""",
    "shop/mail.py": """\
def send_receipt(order: Order, address: str) -> None:
    body = render("receipt", total=order.total())
    deliver(address, body)


def deliver(address: str, body: str) -> None:
    smtp.send(address, body)
""",
    "shop/__init__.py": "from .models import Order as Order\n",
    "tests/test_mail.py": """\
def test_receipt():
    order = Order()
    order.add(Item("tea", 2.5))
    send_receipt(order, "ada@example.org")
    assert outbox[0].body == "2.5"
""",
}
DOCUMENT = """\
from shop import Order
from shop.mail import send_receipt


class Checkout(Order):
    def finish(self, address):
        order = self.current()
        █
        return order
"""

LINE_START = """\
== outline shop/models.py:8
class Order(Record)
    items: list[Item]
    def add(self, item: Item, count: int = 1) -> None
== signature shop:0
def send_receipt(order: Order, address: str) -> None
== hop shop/records.py:0
class Record
== chunk shop/__init__.py:0
from .models import Order as Order
== chunk shop/mail.py:0
def send_receipt(order: Order, address: str) -> None:
    body = render("receipt", total=order.total())
    deliver(address, body)


def deliver(address: str, body: str) -> None:
== chunk shop/models.py:4
    def discounted(self, rate: float) -> float:
        return self.price * (1 - rate)


class Order(Record):
    items: list[Item]

    def add(self, item: Item, count: int = 1) -> None:
== chunk shop/records.py:0
class Record:
    key: int

    def save(self) -> None:
        write(self)
== chunk tests/test_mail.py:0
def test_receipt():
    order = Order()
    order.add(Item("tea", 2.5))
    send_receipt(order, "ada@example.org")
    assert outbox[0].body == "2.5"
"""
INSIDE = """\
== outline shop/models.py:8
class Order(Record)
    items: list[Item]
== signature shop:0
def send_receipt(order: Order, address: str) -> None
== chunk shop/mail.py:0
def send_receipt(order: Order, address: str) -> None:
    body = render("receipt", total=order.total())
== chunk shop/models.py:4
    def discounted(self, rate: float) -> float:
        return self.price * (1 - rate)


class Order(Record):
"""
IN_CALL = """\
== signature shop:0
def send_receipt(order: Order, address: str) -> None
== chunk shop/records.py:0
class Record:
    key: int

    def save(self) -> None:
        write(self)
"""


@dataclass
class Found:
    path: str
    start: int
    text: str
    score: float


class Project:
    """What an index knows, from the same analysis and with the same vectors, in memory."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.facts: dict[str, Facts] = {path: analysed(language_of(path), text) for path, text in files.items()}
        self.asked: list[str] = []

    def definitions(self, names: Sequence[str], per_name_max: int) -> dict[str, list[tuple[str, Symbol]]]:
        self.asked.append("definitions")
        found: dict[str, list[tuple[str, Symbol]]] = {}
        for path, facts in self.facts.items():
            for symbol in facts.symbols:
                if symbol.name in names and len(found.setdefault(symbol.name, [])) < per_name_max:
                    found[symbol.name].append((path, symbol))
        return found

    def symbols_in(self, path: str) -> Sequence[Symbol]:
        self.asked.append("symbols")
        return self.facts[path].symbols if path in self.facts else ()

    def imports_in(self, path: str) -> Sequence[Import]:
        self.asked.append("imports")
        return self.facts[path].imports if path in self.facts else ()

    def resolve(self, language: str, module: str, importer: str) -> Sequence[str]:
        self.asked.append("resolve")
        return resolved(
            language, module, importer, lambda name: [path for path in self.facts if path.rpartition("/")[2] == name]
        )

    def search(self, query: Mapping[str, float], limit: int, without_path: str) -> list[Found]:
        wanted = dict(zip(*query_vector(query), strict=True))
        found: list[Found] = []
        for path, facts in self.facts.items():
            for chunk in facts.chunks if path != without_path else ():
                vector = document_vector(chunk.text, path, chunk.symbol)
                score = sum(wanted.get(i, 0) * v for i, v in zip(vector.indices, vector.values, strict=True))
                found.append(Found(path, chunk.start, chunk.text, score))
        return sorted((one for one in found if one.score > 0), key=lambda one: -one.score)[:limit]


def sight_of(marked: str, path: str = "app.py", mark: str = "█") -> Sight:
    language = language_of(path)
    text = marked.replace(mark, "")
    lines = marked.split("\n")
    number = next(n for n, line in enumerate(lines) if mark in line)
    imports = analysed(language, text).imports
    return sight_at(path, language, text.split("\n"), number, lines[number].index(mark), imports)


def fragments(sight: Sight, project: Project, chars_max: int = 2_000) -> tuple[Fragment, ...]:
    return context(sight, project, completion_query(sight.above, sight.line_before, sight.below), chars_max)


def shown(found: Sequence[Fragment]) -> str:
    return "".join(f"== {one.kind} {one.path}:{one.line}\n{one.text}" for one in found)


def size(found: Sequence[Fragment]) -> int:
    return sum(len(one.path) + len(one.text) for one in found)


def test_the_context_of_a_line_start() -> None:
    assert shown(fragments(sight_of(DOCUMENT), Project(FILES), 1_000)) == LINE_START


def test_inside_a_line_more_goes_to_outlines() -> None:
    assert shown(fragments(sight_of(DOCUMENT.replace("█", "order.█")), Project(FILES), 400)) == INSIDE


def test_inside_a_call_its_signature_comes_first_whatever_the_room() -> None:
    sight = sight_of(DOCUMENT.replace("█", "send_receipt(█"))
    assert shown(fragments(sight, Project(FILES), 170)) == IN_CALL


def test_the_mode_decides_what_there_is_room_for() -> None:
    def shares(marked: str) -> dict[str, int]:
        found = fragments(sight_of(marked), Project(FILES), 500)
        return {kind: sum(len(one.text) for one in found if one.kind == kind) for kind in ("outline", "hop")}

    start, inside = shares(DOCUMENT), shares(DOCUMENT.replace("█", "order.█"))
    assert inside["outline"] > start["outline"]
    assert inside["hop"] == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("    █", ("start", "")),
        ("    order.█", ("inside", "")),
        ("    total = █", ("inside", "")),
        ("    order.add(item, █", ("call", "add")),
        ("    order.add(other(1), [x for x in (1, 2)], █", ("call", "add")),
        ("    order.add(item)█", ("inside", "")),
        ("order.add(\n    item,\n    █", ("call", "add")),
        ("order.add(item)\n    █", ("start", "")),
        ("def add(self, █", ("inside", "")),
        ("if (█", ("inside", "")),
        ('print("(" + █', ("inside", "")),
        ("items[█", ("inside", "")),
    ],
)
def test_mode_and_callee(text: str, expected: tuple[Mode, str]) -> None:
    assert mode_of(sight_of(text)) == expected


def test_what_the_document_itself_defines_or_holds_is_left_out() -> None:
    files = {**FILES, "app.py": "def send_receipt(order): ...\nclass Checkout: ...\n"}
    found = fragments(sight_of(DOCUMENT), Project(files))
    assert "app.py" not in {one.path for one in found}
    # The document's own send_receipt is meant unless an import says otherwise, which it does here.
    alone = sight_of("def finish():\n    send_receipt(order)\n    █\n")
    assert not any(one.kind == "signature" for one in fragments(alone, Project(files)))
    assert any(one.kind == "signature" for one in fragments(alone, Project(FILES)))


def test_names_with_many_definitions_are_left_out_unless_an_import_tells_which() -> None:
    files = {f"part{n}.py": f"def run(a{n}): ...\n" for n in range(14)}
    told = "from part7 import run\n\n"
    for head, expected in (("", []), (told, ["def run(a7)\n"])):
        found = fragments(sight_of(head + "def go():\n    run(1)\n    █\n"), Project(files))
        assert [one.text for one in found if one.kind == "signature"] == expected


def test_the_member_of_a_type_in_sight_is_meant() -> None:
    files = {f"part{n}.py": f"class Part{n}:\n    def run(self, a{n}): ...\n" for n in range(14)}
    found = fragments(sight_of("def go(part3):\n    part3.run(1)\n    █\n"), Project(files))
    assert "def run(self, a3)" in "".join(one.text for one in found if one.kind in ("signature", "outline"))


def test_a_name_is_the_likelier_the_nearer_and_the_more_it_is_used() -> None:
    far = "far(1)\n" + "x = 1\n" * 40
    uses = names_in(sight_of(f"{far}often(2)\nonce(1)\noften(1)\nx = 1\n█\n")).uses
    distant, once, often = (likelihood(name, uses[name], "function") for name in ("far", "once", "often"))
    assert 0 < distant < once < often < 1
    assert likelihood("once", uses["once"], "attribute") < once
    assert len(features("once", uses["once"], "", False)) == len(WEIGHTS)


def test_strings_and_comments_name_nothing() -> None:
    assert "Order" not in names_in(sight_of("x = 'Order'  # Order\n█\n")).uses


@given(
    st.integers(0, 3_000),
    st.sampled_from(["█", "order.█", "order.add(█", "self.█", "send_receipt(order, █"]),
)
@settings(max_examples=60, deadline=None)
def test_the_budget_is_never_exceeded_and_the_order_is_stable(chars_max: int, typed: str) -> None:
    project = Project(FILES)
    found = fragments(sight_of(DOCUMENT.replace("█", typed)), project, chars_max)
    assert size(found) <= chars_max
    order = {"outline": 0, "signature": 1, "hop": 2, "chunk": 3}
    keys = [(order[one.kind], one.path, one.line) for one in found]
    assert keys == sorted(keys)
    assert all(one.text.endswith("\n") and "\r" not in one.text and 0 <= one.weight <= 1 for one in found)
    assert found == fragments(sight_of(DOCUMENT.replace("█", typed)), project, chars_max)


def test_it_does_not_depend_on_the_order_in_which_the_project_answers() -> None:
    there = fragments(sight_of(DOCUMENT), Project(FILES), 700)
    back = fragments(sight_of(DOCUMENT), Project(dict(reversed(FILES.items()))), 700)
    assert shown(there) == shown(back)


def test_a_key_more_leaves_most_of_the_context_as_it_is() -> None:
    project = Project(FILES)
    before = fragments(sight_of(DOCUMENT.replace("█", "order.a█")), project)
    after = fragments(sight_of(DOCUMENT.replace("█", "order.ad█")), project)
    assert shown(before) == shown(after)


def test_an_empty_project_and_an_empty_document() -> None:
    assert fragments(sight_of("█"), Project(FILES)) == ()
    assert fragments(sight_of(DOCUMENT), Project({})) == ()


def test_what_was_answered_is_remembered_until_it_is_forgotten() -> None:
    project = Project(FILES)
    known = Remembering(project)
    sight = sight_of(DOCUMENT)
    query = completion_query(sight.above, sight.line_before, sight.below)
    first = context(sight, known, query, 1_000)
    asked = len(project.asked)
    assert context(sight, known, query, 1_000) == first == context(sight, project, query, 1_000)
    assert len(project.asked) == 2 * asked
    project.facts["shop/models.py"] = analysed("python", "class Order:\n    size: int\n")
    known.forget()
    assert "size: int" in shown(context(sight, known, query, 1_000))


# What is seen


def test_what_can_be_seen_from_a_position() -> None:
    lines = [
        "class A(B):",
        *(f"    x{n} = {n}" for n in range(100)),
        "    def f(self):",
        "        go()",
        "",
        "        ",
    ]
    lines += ["", "        stop()", *(f"y{n} = {n}" for n in range(20))]
    sight = sight_at("a.py", "python", lines, 104, 8)
    assert sight.enclosing == ("class A(B):", "def f(self):")
    assert sight.above == tuple(lines[104 - ABOVE_LINES_MAX : 104])
    assert sight.below == ("        stop()", *(f"y{n} = {n}" for n in range(BELOW_LINES_MAX - 1)))
    assert (sight.line_before, sight.line_after) == ("        ", "")
    assert "    x5 = 5" in sight.further
    assert "y19 = 19" in sight.further


def test_a_position_after_the_end_sees_what_is_above() -> None:
    assert sight_at("a.py", "python", ["x = 1"], 7, 3).above == ("x = 1",)
    assert sight_at("a.py", "python", [], 0, 0).line_before == ""


# Signatures


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("def f(a, b)", "def f(a, b)"),
        ("@overload def f( a: int, b: str, )", "def f(a: int, b: str)"),
        ("@property def size(self) -> int", "@property def size(self) -> int"),
        (
            "def request(self, method: str, url: URL | str, *, timeout: float | None = None,"
            " headers: Mapping[str, str]) -> R",
            "def request(self, method, url, *, timeout=None, headers) -> R",
        ),
        (
            "transform<Out>(how: (arg: Input, context: Context) => Promise<Out> | Out,"
            " options?: { strict: boolean }): Schema<Out>",
            "transform<Out>(how, options?): Schema<Out>",
        ),
    ],
)  # fmt: skip
def test_long_signatures_lose_their_annotations(signature: str, expected: str) -> None:
    assert shortened(signature) == expected


@given(st.text("ab(),:=<>[]{}-> \"'", max_size=300))
def test_no_signature_is_longer_than_the_limit(text: str) -> None:
    assert len(shortened(text)) <= SIGNATURE_CHARS_MAX
