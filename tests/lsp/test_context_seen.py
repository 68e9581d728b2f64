"""What the model is shown beside the text at the cursor, through a real server: only after rest, and in its order."""

import asyncio
import json
from pathlib import Path

from lsp_client import span

from hearth.core.background import PAGE_CHARS_MIN

CART, MAIN, SECRET = "file:///work/cart.py", "file:///work/main.py", "file:///work/.env"
CLASS = "class Cart:\n    def total(self):\n        return sum(self.prices)\n\n" + "".join(
    f"    def count_{word}(self):\n        return len(self.{word}_items)\n\n" for word in ("red", "blue", "old", "new")
)
PARTS = CLASS + "".join(
    f"def make_{word}(size_{word}):\n    return build(size_{word})\n\n\n" for word in "abcdefghijkl"
)
SILENT = {"text": "\n\n\n", "log": "prompts.log", "prefills": 1}


def prompts(home: Path) -> list[str]:
    log = home / "prompts.log"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    return [line["prompt"] for line in lines if line["event"] == "start"]


async def test_other_files_edits_and_errors_come_after_rest_and_never_before(server, tmp_path):
    assert len(PARTS) > PAGE_CHARS_MIN
    client = await server(SILENT)
    await client.open(SECRET, f"TOKEN = 'abc'\n{CLASS}")
    await client.open(CART, PARTS)
    await client.open(MAIN, "import cart\n\nbasket = cart.Cart()\nx = basket.\n")
    await client.change(CART, 2, {"range": span(1, 8, 1, 13), "text": "amount"})
    error = {"range": span(3, 0), "severity": 1, "message": "Cart has no total"}
    await client.notify("hearth/diagnostics", {"uri": MAIN, "diagnostics": [error]})
    await client.notify("hearth/diagnostics", {"uri": MAIN, "diagnostics": [{"severity": []}]})
    await client.complete(MAIN, 3, 11)
    asked = prompts(tmp_path)
    assert not any("class Cart" in prompt for prompt in asked)

    async with asyncio.timeout(30):
        while not (found := [prompt for prompt in prompts(tmp_path) if "class Cart" in prompt]):
            await asyncio.sleep(0.05)
    prompt = found[-1]
    project, _, here = prompt.partition("<|file_sep|>main.py\n<|fim_prefix|>")
    assert "<|file_sep|>cart.py\nclass Cart:\n    def amount(self):" in project
    recent, _, window = here.partition("import cart\n")
    assert recent == ("# cart.py\n# -    def total(self):\n# +    def amount(self):\n# error: Cart has no total\n\n")
    assert window.startswith("\nbasket = cart.Cart()\n")
    assert "TOKEN" not in prompt
    # What is asked next extends what was read ahead.
    await client.change(MAIN, 2, {"range": span(3, 11), "text": "a"})
    await client.complete(MAIN, 3, 12)
    assert prompts(tmp_path)[-1].startswith(prompt.partition("<|fim_middle|>")[0])
