"""`hearth models`, as a user runs it."""

import asyncio
import io
import json
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from egress.rig import FREE, KEY, NOON, PAID
from hearth.cli import main
from openrouter.emulator import Emulator


async def run(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command. In this process, which spares each the start of an interpreter."""
    out, err = io.StringIO(), io.StringIO()
    ours = {"HEARTH_CONFIG_DIR": str(home), "HEARTH_DATA_DIR": str(home / "data"), "OPENROUTER_API_KEY": KEY}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(home)
        for name, value in ours.items():
            patch.setenv(name, value)
        code = await asyncio.to_thread(main, ["models", *arguments])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture
async def router(tmp_path):
    async with Emulator(clock=lambda: NOON) as emulator:
        script = tmp_path / "script.json"
        script.write_text(json.dumps({"model": "mine", "dialect": "qwen"}))
        backend = f'[[backends]]\nkind = "scripted"\nmodel = "{script.as_posix()}"\n'
        cloud = f'[cloud]\nenabled = true\nbase_url = "{emulator.base_url}"\n'
        (tmp_path / "settings.toml").write_text(f"{backend}{cloud}[index]\nenabled = false\n")
        yield emulator


async def test_list(router, tmp_path):
    done = await run(tmp_path, "list", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["model"] for one in found["own"]] == ["mine"]
    rows = {one["id"]: one for one in found["cloud"]["models"]}
    assert rows[FREE]["free"]
    assert rows[PAID]["prompt_usd_per_million"] == pytest.approx(0.27)
    assert rows["mistralai/devstral-2-2512:free"]["keeps_nothing"] is False
    assert found["cloud"]["chosen"][0] == FREE, "code models first, those that keep something left out"
    assert found["cloud"]["problem"] == ""


async def test_list_in_words(router, tmp_path):
    done = await run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "  mine  scripted" in done.stdout
    assert f"{FREE}  262144 tokens, free" in done.stdout
    assert "$0.27 / $0.4 a million tokens" in done.stdout
    assert "its price is not known, so it is never asked" in done.stdout


async def test_with_the_cloud_off_nobody_is_asked(router, tmp_path):
    (tmp_path / "settings.toml").write_text("[index]\nenabled = false\n")
    done = await run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "switched off" in done.stdout
    assert router.captured == []


async def test_pull_tells_how(router, tmp_path):
    done = await run(tmp_path, "pull", "qwen2.5-coder:1.5b")
    assert "ollama pull qwen2.5-coder:1.5b" in done.stdout
    assert (await run(tmp_path, "pull")).returncode == 2
