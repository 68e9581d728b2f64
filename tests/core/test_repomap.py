"""The repository map: what most vote for comes first, noise does not vote, and the budget is kept to the character."""

import random
from array import array
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.facts import Symbol
from hearth.core.impact import References, name_key
from hearth.core.repomap import CHARS_PER_TOKEN, DEFINERS_MAX, SYMBOLS_MAX, Graph, Ranked, repository_map

Definitions = Sequence[tuple[str, Sequence[tuple[str, str]]]]


def table(uses: Mapping[str, Mapping[str, int]]) -> list[References]:
    """Files and how often they use which names, as the manifest keeps it."""
    rows: list[References] = []
    for path, names in uses.items():
        keys = sorted((name_key(name), count) for name, count in names.items())
        rows.append((path, array("I", [key for key, _ in keys]), array("H", [count for _, count in keys])))
    return rows


def graph(
    defines: Mapping[str, str],
    uses: Mapping[str, str],
    imports: Mapping[str, str] | None = None,
    kind: str = "function",
) -> Graph:
    """Words: `name` or `name:kind` that a file defines; `name` or `name*count` that it uses; files that it imports."""
    definitions = [
        (path, [(name, given or kind) for name, _, given in (word.partition(":") for word in words.split())])
        for path, words in defines.items()
    ]
    counted = {
        path: {name: int(count or 1) for name, _, count in (word.partition("*") for word in words.split())}
        for path, words in uses.items()
    }
    return Graph(definitions, table(counted), {path: words.split() for path, words in (imports or {}).items()})


def top(made: Graph, count: int = 1, **about: Sequence[str]) -> list[str]:
    return [f"{one.path}:{one.name}" for one in made.ranked(**about)[:count]]


def test_what_more_files_use_comes_first() -> None:
    made = graph({"a.py": "alpha beta"}, {"x.py": "alpha", "y.py": "alpha beta", "z.py": "alpha"})
    assert [one.name for one in made.ranked()] == ["alpha", "beta"]
    assert sum(one.score for one in made.ranked()) == pytest.approx(1)


def test_a_vote_counts_more_from_a_file_that_is_voted_for() -> None:
    uses = {"user1.py": "engine", "user2.py": "engine", "user3.py": "engine", "core.py": "gear", "lonely.py": "wheel"}
    made = graph({"core.py": "engine", "gear.py": "gear", "wheel.py": "wheel"}, uses)
    assert top(made, 3) == ["gear.py:gear", "core.py:engine", "wheel.py:wheel"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("long_telling_name", "shortish"),
        ("LongTellingName", "shortish"),
        ("visible", "_hidden"),
        ("_long_hidden_name", "_hidden"),
        ("thing:function", "thing2:method"),
        ("thing:class", "thing2:attribute"),
    ],
)
def test_what_names_are_worth(better: str, worse: str) -> None:
    uses = f"{better.partition(':')[0]} {worse.partition(':')[0]}"
    for order in ((better, worse), (worse, better)):
        made = graph({f"{n}.py": name for n, name in enumerate(order)}, {"x.py": uses})
        assert made.ranked()[0].name == better.partition(":")[0]


@pytest.mark.parametrize("name", ["get", "run", "dict", "ab", "__init__", "toString"])
def test_names_that_mean_anything_do_not_vote(name: str) -> None:
    made = graph({"a.py": f"{name} useful"}, {"x.py": f"{name}*99 useful", "y.py": f"{name}*99"})
    assert top(made, 9) == ["a.py:useful"]


@pytest.mark.parametrize("kind", ["heading", "key", "selector"])
def test_headings_and_keys_are_no_definitions(kind: str) -> None:
    assert len(graph({"a.md": f"usage:{kind}"}, {"x.py": "usage"})) == 0


@pytest.mark.parametrize("path", ["vendor/a.py", "web/node_modules/p/a.js", "lib/jquery.min.js", "x/third_party/a.c"])
def test_vendored_files_neither_vote_nor_are_voted_for(path: str) -> None:
    assert len(graph({path: "alpha", "a.py": "beta"}, {"x.py": "alpha", path: "beta"})) == 0
    assert len(graph({"a.py": "beta"}, {"x.py": "beta"})) == 1


def test_what_nearly_every_file_defines_is_no_name() -> None:
    many = {f"{n}.py": "widespread" for n in range(DEFINERS_MAX)}
    assert len(graph(many, {"x.py": "widespread"})) == DEFINERS_MAX
    assert len(graph({**many, "one_more.py": "widespread"}, {"x.py": "widespread"})) == 0
    # and from six definers on it counts less than one of a single file
    several = {f"{n}.py": "several" for n in range(6)}
    assert top(graph({**several, "z.py": "single1"}, {"x.py": "several single1"})) == ["z.py:single1"]


def test_a_resolved_import_decides_who_is_meant() -> None:
    defines = {"shop/order.py": "submit_order", "test/order.py": "submit_order"}
    uses = {"view.py": "submit_order", "api.py": "submit_order"}
    made = graph(defines, uses, {"view.py": "shop/order.py", "api.py": "shop/order.py"})
    first, second = made.ranked()
    assert (first.path, second.path) == ("shop/order.py", "test/order.py")
    assert first.score > 50 * second.score
    evenly = graph(defines, uses).ranked()
    assert evenly[0].score == pytest.approx(evenly[1].score)


def test_a_package_hands_on_what_it_imports() -> None:
    defines = {"pkg/inner.py": "submit_order", "zzz.py": "submit_order", "pkg/__init__.py": "nothing1"}
    imports = {"view.py": "pkg/__init__.py", "pkg/__init__.py": "pkg/inner.py"}
    first, second = graph(defines, {"view.py": "submit_order"}, imports).ranked()
    assert first.path == "pkg/inner.py"
    assert first.score > 50 * second.score
    assert graph(defines, {"view.py": "submit_order"}, {"view.py": "zzz.py"}).ranked()[0].path == "zzz.py"


def test_a_file_that_defines_a_name_means_its_own() -> None:
    made = graph({"a.py": "helper1 alpha", "b.py": "helper1"}, {"a.py": "helper1*50", "x.py": "alpha"})
    assert top(made, 9) == ["a.py:alpha"]


USES = {"talk.py": "alpha1 beta_1", "x.py": "gamma1", "y.py": "gamma1", "z.py": "gamma1"}
DEFINES = {"a.py": "alpha1", "b.py": "beta_1", "c.py": "gamma1", "talk.py": "mine11"}


def test_the_conversation_draws_the_map_to_itself() -> None:
    made = graph(DEFINES, {**USES, "w.py": "mine11"})
    assert top(made) == ["c.py:gamma1"]
    assert top(made, 2, conversation=["talk.py"]) == ["a.py:alpha1", "b.py:beta_1"]
    crowd = {f"{n}.py": "gamma1" for n in range(500)}
    assert top(graph(DEFINES, {**USES, **crowd}), 2, conversation=["talk.py"]) == ["a.py:alpha1", "b.py:beta_1"]
    assert not any(one.path == "talk.py" for one in made.ranked(conversation=["talk.py"])), "the model has it already"
    assert top(made, 1, conversation=["unknown.py"]) == ["c.py:gamma1"]


@pytest.mark.parametrize("word", ["beta_1", "b.py", "b"])
def test_what_is_mentioned_comes_forward(word: str) -> None:
    made = graph({**DEFINES, "b.py": "beta_1 other1"}, {**USES, "talk2.py": "beta_1", "b.py": "under1"})
    assert top(made) == ["c.py:gamma1"]
    [before] = [one.score for one in made.ranked() if one.name == "beta_1"]
    [after] = [one.score for one in made.ranked(mentioned=[word]) if one.name == "beta_1"]
    assert after > before
    assert len(made.ranked(mentioned=[word])) >= len(made.ranked()), "the rest of the project stays in sight"
    assert top(graph(DEFINES, USES), 1, conversation=["talk.py"], mentioned=["beta_1"]) == ["b.py:beta_1"]


def test_what_is_mentioned_is_there_also_if_nobody_uses_it() -> None:
    made = graph({**DEFINES, "q.py": "quiet1"}, USES)
    assert "q.py:quiet1" not in top(made, 99)
    assert "q.py:quiet1" in top(made, 2, mentioned=["quiet1"])


@pytest.mark.parametrize(
    ("defines", "uses"),
    [({}, {}), ({"a.py": "alpha"}, {}), ({}, {"a.py": "alpha"}), ({"a.py": ""}, {"b.py": ""}),
     ({"a.py": "alpha"}, {"a.py": "alpha"})],
)  # fmt: skip
def test_nothing_to_rank(defines: Mapping[str, str], uses: Mapping[str, str]) -> None:
    made = graph(defines, uses, {"a.py": "b.py", "q.py": "a.py"})
    assert made.ranked(conversation=["a.py"], mentioned=["alpha"]) == []
    assert repository_map([], lambda _: [], 1_000) == ""


WORDS = st.lists(st.sampled_from(["alpha", "beta_long_name", "gammaLongName", "_delta", "eps1", "zeta1"]), max_size=5)
FILES = st.dictionaries(st.sampled_from([f"{folder}/{n}.py" for folder in "ab" for n in range(4)]), WORDS, max_size=8)


@given(FILES, FILES, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_tables_changes_no_score(
    defines: dict[str, list[str]], uses: dict[str, list[str]], chance: random.Random
) -> None:
    def shuffled(files: dict[str, list[str]]) -> dict[str, str]:
        pairs = [(path, " ".join(sorted(set(words)))) for path, words in files.items()]
        chance.shuffle(pairs)
        return dict(pairs)

    first, second = (
        {(one.path, one.name): one.score for one in graph(shuffled(defines), shuffled(uses)).ranked()} for _ in range(2)
    )
    assert first.keys() == second.keys()
    assert all(second[key] == pytest.approx(score, abs=1e-3) for key, score in first.items())


def test_the_same_tables_give_the_same_map() -> None:
    rng = random.Random(1)
    names = [f"name_{n}_{'x' * (n % 9)}" for n in range(3_000)]
    defines = {f"{n}.py": " ".join(rng.sample(names, 30)) for n in range(200)}
    uses = {f"{n}.py": " ".join(rng.sample(names, 40)) for n in range(200)}
    first, second = graph(defines, uses).ranked(), graph(defines, uses).ranked()
    assert first == second
    assert len(first) == SYMBOLS_MAX


# The tree

SYMBOLS = {
    "shop/order.py": [
        Symbol("Order", "class", "", 3, 30, "class Order(Base)"),
        Symbol("total", "attribute", "Order", 4, 5, "total: int = 0"),
        Symbol("submit", "method", "Order", 8, 12, "def submit(self, at: date) -> None"),
        Symbol("Line", "class", "Order", 15, 20, "class Line"),
        Symbol("price", "method", "Order.Line", 16, 18, "def price(self)"),
        Symbol("submit", "function", "", 40, 44, "def submit(order)"),
    ],
    "a.py": [
        Symbol("alpha", "function", "", 0, 4, "def alpha(x)"),
        Symbol("inner", "class", "alpha", 1, 3, "class inner"),
        Symbol("deep", "method", "alpha.inner", 2, 3, "def deep(self)"),
        Symbol("wide", "constant", "", 5, 6, "w" * 500),
    ],
}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.py:alpha"], "a.py:\n  def alpha(x)"),
        (["shop/order.py:submit"], "shop/order.py:\n  class Order(Base)\n    def submit(self, at: date) -> None\n"
                                   "  def submit(order)"),
        (["shop/order.py:price", "a.py:alpha"], "a.py:\n  def alpha(x)\nshop/order.py:\n  class Order(Base)\n"
                                                "    class Line\n      def price(self)"),
        (["a.py:gone"], ""),
        (["unknown.py:gone", "a.py:alpha"], "a.py:\n  def alpha(x)"),
        (["a.py:inner", "a.py:deep"], ""),
    ],
)  # fmt: skip
def test_the_tree(names: list[str], expected: str) -> None:
    ranked = [Ranked(*name.split(":"), 0.1) for name in names]
    assert repository_map(ranked, lambda path: SYMBOLS.get(path, []), 1_000) == expected


def test_a_long_signature_is_cut() -> None:
    last = repository_map([Ranked("a.py", "wide", 1)], SYMBOLS.__getitem__, 1_000).splitlines()[-1]
    assert last.endswith("w…")
    assert len(last) < 200


@given(st.integers(0, 120))
@settings(deadline=None)
def test_the_budget_is_kept_and_used(tokens: int) -> None:
    ranked = [Ranked(path, symbol.name, 0.1) for path, symbols in SYMBOLS.items() for symbol in symbols]
    text = repository_map(ranked, SYMBOLS.__getitem__, tokens)
    assert len(text) <= tokens * CHARS_PER_TOKEN
    whole = repository_map(ranked, SYMBOLS.__getitem__, 10_000)
    assert set(text.splitlines()) <= set(whole.splitlines())
    if tokens >= 120:
        assert "def alpha(x)" in text
