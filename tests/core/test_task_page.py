"""A task's page is Markdown that is also read as text: what others wrote is no markup in it, and stays legible."""

import pytest

from hearth.core.task_page import escaped, plan_page
from hearth.core.task_parts import Step

SHOWN = {
    "get_stock of a/__init__.py (new), #3 | more!": r"get_stock of a/\_\_init\_\_.py (new), #3 | more!",
    "rename `get_stock` to `__x__`": "rename `get_stock` to `__x__`",
    "an open ` and ``two``": r"an open \` and \`\`two\`\`",
    r"escaped \`a` b": r"escaped \\\`a\` b",
    "![i](http://x/a.png) [l](command:run) <img src=x> <http://x>": (
        r"!\[i\](http://x/a.png) \[l\](command:run) \<img src=x> \<http://x>"
    ),
    "*bold* _it_ ~~gone~~": r"\*bold\* \_it\_ \~\~gone\~\~",
    "# head\n> quote": r"\# head > quote",
}


@pytest.mark.parametrize("text", SHOWN)
def test_what_others_wrote_is_shown_as_it_is(text: str):
    assert escaped(text) == SHOWN[text]


def test_a_steps_files_stand_once_and_legibly():
    steps = (
        Step("Change shop/__init__.py, shop/a.py.", ("shop/__init__.py", "shop/a.py", "shop/b.py"), "tests"),
        Step("Adapt `a.py` and its_users", ("a.py", "c.py")),
        Step("Do *it*", ()),
        Step("Change old/a.py and a.pyi", ("a.py",)),
    )
    assert plan_page(steps).splitlines() == [
        "1. Change `shop/__init__.py`, `shop/a.py`. (check: tests)",
        "   - `shop/b.py`",
        "2. Adapt `a.py` and its_users",
        "   - `c.py`",
        r"3. Do \*it\*",
        "4. Change old/a.py and a.pyi",
        "   - `a.py`",
    ]
