"""Before anything leaves: the question in the real editor, the exact text, the answer, and the ledger afterwards."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import harness
import pytest
from harness import Open
from test_chat_editor import LENS, SETTINGS

from openrouter.emulator import Emulator, Reply

pytestmark = pytest.mark.editor

FREE = "qwen/qwen3-coder:free"
KEY = "sk-or-v1-test"
TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
SOURCE = f'''"""Prices."""

TOKEN = "{TOKEN}"


def with_tax(amount, rate):
    return round(amount * (1 + rate))
'''


@contextmanager
def emulator() -> Iterator[Emulator]:
    """OpenRouter on a loop in a thread of its own: the tests of the editor do not await."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="OpenRouter", daemon=True)
    thread.start()
    router = Emulator()
    asyncio.run_coroutine_threadsafe(router.__aenter__(), loop).result(10)
    try:
        yield router
    finally:
        asyncio.run_coroutine_threadsafe(router.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def router() -> Iterator[Emulator]:
    with emulator() as one:
        yield one


def settings(router: Emulator) -> str:
    """No model of the user's own, and the cloud allowed."""
    cloud = f'[cloud]\nenabled = true\nbase_url = "{router.base_url}"\nmodels = ["{FREE}"]\n'
    return f'[[backends]]\nkind = "openai"\nurl = "http://127.0.0.1:9"\n{cloud}[index]\nenabled = false\n'


def test_nothing_leaves_before_it_was_shown_and_agreed_to(open_workbench: Open, router: Emulator):
    bench = open_workbench(
        {"prices.py": SOURCE}, toml=settings(router), user_settings=SETTINGS, environment={"OPENROUTER_API_KEY": KEY}
    )
    bench.ready()
    page = bench.page
    bench.go("prices.py", 7)
    page("press", key="Control+a")
    page("command", title="Hearth: Explain")
    shown = page("see", selector=".monaco-dialog-box", text=f"Send to {FREE}")
    page.shot("consent")
    for part in ("prices.py", "free", "tokens", "Masked: 1 secret", "neither keep nor train"):
        assert part in shown, shown
    # Enter, typed on the way, sends nothing: it shows.
    page("press", key="Enter")
    page("see", selector=".tab", text="preview-1.md")
    page("see", selector=".view-line", text="What would be sent")
    page.shot("shown-exactly")
    page("see", selector=".view-line", text="HEARTH_SECRET_1")
    assert router.sent_bodies == []
    router.then(Reply("From the cloud: it adds the tax."))
    page("click", selector=LENS, text="Send for this session")
    page("see", selector=".view-line", text="From the cloud: it adds the tax.")
    sent = json.dumps(router.sent_bodies)
    assert "def with_tax" in sent
    assert TOKEN not in sent
    # What left is in the ledger, and of which file.
    bench.go("prices.py", 7)
    page("command", title="Hearth: What Left This Machine")
    page("see", selector=".view-line", text="Of prices.py")
    page("see", selector=".view-line", text=FREE)
    page.shot("ledger")
    page("command", title="Hearth: Status")
    page("seeAnywhere", text="Prefix caching saved")
    # What was allowed for the session is taken back: the next question asks again.
    page("command", title="Hearth: Take Back What You Allowed")
    page("see", selector=".quick-input-list .monaco-list-row", text="explain →")
    page.shot("allowed")
    page("accept")
    page("see", selector=harness.TOAST, text="Taken back: explain")
    # Declined, nothing leaves, and the command says so.
    bench.go("prices.py", 7)
    page("command", title="Hearth: Explain")
    page("see", selector=".monaco-dialog-box", text="Send to")
    before = len(router.sent_bodies)
    page("press", key="Escape")
    page("gone", selector=".monaco-dialog-box")
    page("see", selector=harness.TOAST)
    assert len(router.sent_bodies) == before
