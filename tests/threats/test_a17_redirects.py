"""A17: the service answers with a redirect, and the prompt is posted again to whoever it names.

Controls: redirects are off in the library, and our transport beneath it lets one request through, to one host.
"""

from pathlib import Path

import pytest

from backends.fake import Answer
from openrouter.emulator import Emulator
from threats.scene import Capture, Machine, posted


@pytest.mark.parametrize("status", [302, 307])
async def test_the_prompt_is_not_posted_again(tmp_path: Path, status: int) -> None:
    async with Capture() as far, Emulator() as router:
        for target in (f"{far.url}/chat/completions", f"//127.0.0.1:{far.port}/", f"http://user@127.0.0.1:{far.port}/"):
            router.script.append(Answer(status=f"{status} Elsewhere", headers=(f"Location: {target}",)))
        machine = Machine(tmp_path, router.base_url)
        machine.write({"a.py": "canary = 1\n"})
        told = await machine.ask("what is this?", "a.py")
        assert posted(router)
        assert "redirects elsewhere" in told["problem"] or told["text"], "told, or another model answered"
        assert (far.connections, far.received) == (0, b"")
