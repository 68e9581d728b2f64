"""A18: the library reaches for a host of its own when it is imported: price maps, telemetry, version checks.

Controls: `courier.library.ENVIRONMENT` and `SWITCHES`; the library is imported in the courier's process only. With
nothing switched on there is no courier at all: test_no_network.py.
"""

from pathlib import Path

import pytest

from openrouter.emulator import Emulator
from threats.scene import Machine, posted
from threats.wires import Watch


async def test_only_the_host_of_the_approval_is_reached(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "traces")
    if not watch.exact:
        watch.end()
        pytest.skip("system calls cannot be watched here")
    async with Emulator() as router:
        machine = Machine(tmp_path, router.base_url)
        machine.write({"a.py": "x = 1\n"})
        told = await machine.ask("what is this?", "a.py", watch=watch)
        assert told["text"], told["problem"]
        assert posted(router)
    assert watch.far() == []
    assert ("connect", "127.0.0.1") in watch.calls()
