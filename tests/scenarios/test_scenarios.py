"""Every scenario by itself: its hidden tests tell the project before from the one after, and miss no forgotten file.

That is what makes the figures of `scripts/bench task` worth anything.
"""

from collections import Counter

import pytest

from scenarios.scenario import Scenario, judged, node, parse, scenarios

ALL = scenarios()
SHAPES_AT_LEAST = 20


@pytest.fixture(params=ALL.values(), ids=ALL)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    found = request.param
    if found.language != "python" and node() is None:
        pytest.skip("there is no node here")
    return found


def test_the_hidden_tests_fail_before(scenario: Scenario):
    assert judged(scenario, scenario.files) != ""


def test_the_hidden_tests_pass_after(scenario: Scenario):
    assert judged(scenario, scenario.solved(without=scenario.optional)) == ""


def test_the_hidden_tests_miss_no_forgotten_file(scenario: Scenario):
    for path in scenario.forgettable:
        assert judged(scenario, scenario.solved(without=(path,))) != "", path


def test_there_are_enough_of_each_sort():
    languages = Counter(each.language for each in ALL.values())
    assert len(ALL) >= SHAPES_AT_LEAST
    assert min(languages[each] for each in ("python", "javascript", "typescript", "mixed")) >= 2
    assert len({each.kind for each in ALL.values()}) == len(ALL)


def test_each_is_small_and_takes_several_files():
    for each in ALL.values():
        assert 4 <= len(each.files) <= 15, each.name
        assert len(each.needed) >= 2, each.name
        assert each.forgettable, each.name
        assert set(each.forgettable) <= set(each.needed), each.name


SAMPLE = """kind: a sample
language: python
forgettable: b.py
goal: Make one of it,
 and of the other too.

=== file a.py
x = 0

y = 0
=== file b.py
=== file c.py
gone
=== change a.py
<<<<
x = 0
====
x = 1
>>>>
<<<<
y = 0
====
y = 1
>>>>
=== create b2.py
new
=== delete c.py
=== change b.py
<<<<

====
z = 1
>>>>
"""


def test_a_scenario_is_read():
    text = SAMPLE.split("=== change b.py")[0].replace("forgettable: b.py", "forgettable: a.py, c.py")
    found = parse("sample", text)
    assert found.goal == "Make one of it, and of the other too."
    assert found.files == {"a.py": "x = 0\n\ny = 0\n", "b.py": "", "c.py": "gone\n"}
    assert found.solution == {"a.py": "x = 1\n\ny = 1\n", "b2.py": "new\n", "c.py": None}
    assert found.solved(without=("c.py",)) == {
        "a.py": "x = 1\n\ny = 1\n",
        "b.py": "",
        "b2.py": "new\n",
        "c.py": "gone\n",
    }


def test_a_change_that_fits_nowhere_is_told():
    with pytest.raises(AssertionError, match="occurs 0 times"):
        parse("sample", SAMPLE.replace("<<<<\nx = 0", "<<<<\nx = 9"))
