"""The project's index in the real editor: what other files define reaches the prompt, what others write is noticed."""

from pathlib import Path
from typing import Any

import harness
import pytest
from harness import Open
from test_editor import PLAIN, scripted
from test_told_editor import starts

pytestmark = pytest.mark.editor

FIELDS = "".join(f"    {name}_amount: float\n" for name in ("net", "tax", "total", "discount", "rounded", "shipping"))
METHODS = "".join(f"    def {name}_value(self, rate: float, *, precise: bool = False): ...\n" for name in "abcdefgh")
PRICING = f"class Invoice:\n{FIELDS}\n{METHODS}"
CHANGED = "class Invoice:\n" + "".join(
    f"    {name}: dict[str, list[{name.title()}]] = field(default_factory=dict)\n"
    for name in ("customers", "positions", "payments", "reminders", "addresses", "contacts", "currencies")
)
HERE = "from pricing import Invoice\n\n\ndef total(invoice: Invoice):\n    return invoice.\n"
MANY = 1_200
BODY = "\n".join(f"def function_{n}(a, b):\n    return a + b * {n}\n" for n in range(120))
BUSY_S = 120.0
RESTS_MAX = 8


def test_what_a_file_that_is_not_open_defines_reaches_the_prompt(open_workbench: Open, tmp_path: Path):
    toml = scripted(tmp_path, index=True, text="net_amount\n", log="prompts.log", prefills=1)
    bench = open_workbench({"main.py": HERE, "pricing.py": PRICING}, toml=toml, user_settings=PLAIN)
    bench.ready("scripted-coder")
    page = bench.page
    page("focus")
    page("press", key="Control+End")
    page("press", key="ArrowUp")
    page("press", key="End")

    def shown(text: str) -> Any:
        return [one for one in starts(tmp_path) if text in one["prompt"]]

    told = "\n    net_amount: float\n"
    harness.wait_for(lambda: shown(told), "the outline of an imported class", BUSY_S)
    # Another program rewrites the file; the editor says so, and the next rest shows the new outline.
    (bench.folder / "pricing.py").write_text(CHANGED, "utf-8")
    new = "\n    reminders: dict[str, list[Reminders]]"
    for _ in range(RESTS_MAX):  # each key is followed by one rest; the index may have been slower than the first
        page("type", text="x")
        if harness.wait_for(lambda: shown(new), "the new outline", BUSY_S / RESTS_MAX, required=False):
            break
    assert shown(new)


def test_reading_a_large_project_shows_progress_and_the_command_reads_it_again(open_workbench: Open, tmp_path: Path):
    files = {"main.py": "a = 1\n", **{f"d{n % 20}/f{n}.py": BODY.replace("function", f"f{n}") for n in range(MANY)}}
    toml = scripted(tmp_path, index=True, text="1\n")
    bench = open_workbench(files, toml=toml, user_settings=PLAIN)
    page = bench.page
    page("seeAnywhere", text="Hearth: reading the project")
    page.shot("index-progress")
    page("command", title="Hearth: Rebuild the Project Index")
    page("seeAnywhere", text="Hearth reads the whole project again.")
