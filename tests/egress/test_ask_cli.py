"""`hearth ask`, as a user runs it: a scripted model here, an emulated OpenRouter there, with and without a terminal."""

import asyncio
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from backends.fake import Fake, js
from egress.rig import FREE, KEY, NOON
from hearth.cli import main
from openrouter.emulator import Emulator, Reply

COMPILED = Path(__file__).resolve().parents[2] / ".cache" / "compiled"
TIMEOUT_S = 90
ANSWER = "It **adds**.\n\n```python\nx = 1\n```\n"


def environment(home: Path) -> dict[str, str]:
    ours = {"HEARTH_CONFIG_DIR": str(home), "HEARTH_DATA_DIR": str(home / "data"), "OPENROUTER_API_KEY": KEY}
    return {**os.environ, **ours, "PYTHONPYCACHEPREFIX": str(COMPILED), "PYTHONUTF8": "1"}


async def ask(home: Path, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """The command without a terminal. In this process, which spares each the start of an interpreter."""
    out, err = io.StringIO(), io.StringIO()

    def run() -> int:
        try:
            return main(["ask", *arguments])
        except SystemExit as ended:
            return int(ended.code or 0)

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(home / "ws")
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        for name, value in environment(home).items():
            patch.setenv(name, value)
        code = await asyncio.to_thread(run)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def settings(home: Path, *, local: bool = True, cloud: str = "", text: str = ANSWER) -> None:
    script = home / "script.json"
    script.write_text(json.dumps({"model": "mine", "chats": int(local), "chat_text": text}))
    backend = f'[[backends]]\nkind = "scripted"\nmodel = "{script.as_posix()}"\n'
    away = f'[cloud]\nenabled = true\nbase_url = "{cloud}"\nmodels = ["{FREE}"]\n' if cloud else ""
    (home / "settings.toml").write_text(f"{backend}{away}[index]\nenabled = false\n")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "a.py").write_text("def add(a, b):\n    return a + b\n")
    settings(tmp_path)
    return tmp_path


@pytest.fixture
async def router(home: Path):
    async with Emulator(clock=lambda: NOON) as emulator:
        emulator.then(Reply("From the cloud."))
        settings(home, cloud=emulator.base_url)
        yield emulator


def sent(router: Emulator) -> list[str]:
    """The bodies of questions that arrived there."""
    return [json.dumps(body) for body in router.sent_bodies]


async def test_the_answer_is_on_stdout_and_the_rest_on_stderr(home: Path):
    done = await ask(home, "what does @file:a.py do, and @file:gone.py?")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ANSWER
    assert "mine, local, on this machine" in done.stderr
    assert "@file:gone.py: there is no such file" in done.stderr
    assert "tokens" in done.stderr


async def test_json(home: Path):
    done = await ask(home, "what does @file:a.py do?", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["answer"], said["model"], said["place"], said["ending"]) == (ANSWER, "mine", "machine", "stop")
    assert said["context"] == ["a.py"]
    assert said["entries"] == []
    assert any("mine" in note for note in said["notes"])


@pytest.mark.parametrize("arguments", [("",), ("  ",), (), ("x", "--local", "--cloud"), ("x", "--nonsense")])
async def test_wrong_usage(home: Path, arguments: tuple[str, ...]):
    done = await ask(home, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""


async def test_no_model_at_all(home: Path):
    settings(home, local=False)
    done = await ask(home, "why?")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip()


async def test_a_server_that_is_not_there_is_said_once(home: Path):
    backend = '[[backends]]\nkind = "llamacpp"\nurl = "http://127.0.0.1:9"\n[index]\nenabled = false\n'
    (home / "settings.toml").write_text(backend)
    done = await ask(home, "why?")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("http://127.0.0.1:9") == 1
    assert len(done.stderr.splitlines()) == 1
    # What to do about it is there all the same, in sentences.
    assert "nothing listens there" in done.stderr
    assert " Start it, for example: llama-server" in done.stderr
    assert "or allow the cloud" in done.stderr


async def test_an_empty_answer_is_an_error(home: Path):
    settings(home, text="")
    done = await ask(home, "why?")
    assert (done.returncode, done.stdout) == (1, "")
    assert "mine answered nothing" in done.stderr


async def test_a_secret_file_is_not_attached(home: Path):
    (home / "ws" / ".env").write_text("TOKEN=abc\n")
    done = await ask(home, "@file:.env what is in it?")
    assert done.returncode == 0
    assert "nothing may read it" in done.stderr


async def test_without_a_terminal_nothing_is_sent_and_the_local_model_answers(home: Path, router: Emulator):
    done = await ask(home, "why?", "--cloud", stdin="y\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ANSWER
    assert "nothing is sent" in done.stderr
    assert sent(router) == []


async def test_without_a_terminal_and_without_a_local_model_it_is_refused(home: Path, router: Emulator):
    settings(home, local=False, cloud=router.base_url)
    done = await ask(home, "why?", stdin="y\n")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Nothing was sent" in done.stderr
    assert sent(router) == []
    done = await ask(home, "why?", "--json", stdin="y\n")
    assert done.returncode == 3
    assert "Nothing was sent" in json.loads(done.stdout)["error"]


async def test_yes_sends_and_says_so_but_for_what_must_not_leave(home: Path, router: Emulator):
    known = (home / "settings.toml").read_text()
    (home / "settings.toml").write_text(f'{known}[privacy]\nnever = ["plans/*"]\n')
    (home / "ws" / "plans").mkdir()
    (home / "ws" / "plans" / "next.py").write_text("def conquer(): ...\n")
    done = await ask(home, "why, says @file:a.py? @folder:./", "--cloud", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "From the cloud.\n"
    (body,) = sent(router)
    assert "def add" in body
    assert "conquer" not in body
    assert "plans/next.py left out, since the cloud is asked: plans/next.py must never leave" in done.stderr
    assert FREE in done.stderr
    assert "in the cloud" in done.stderr
    assert "of the ledger" in done.stderr


async def test_local_forbids_the_cloud(home: Path, router: Emulator):
    settings(home, local=False, cloud=router.base_url)
    done = await ask(home, "why?", "--local", "--yes")
    assert done.returncode == 1, "no model of one's own answers, and that is no refusal"
    assert sent(router) == []


async def test_the_cloud_that_is_off_is_a_refusal(home: Path):
    settings(home, local=False)
    done = await ask(home, "why?", "--cloud", "--yes")
    assert done.returncode == 3
    assert "switched off" in done.stderr


async def test_the_web_is_asked_through_the_users_own_search_engine(home: Path):
    results = {"results": [{"title": "Rings", "url": "https://r.example", "content": "Rings are round."}]}
    async with Fake({"/search?q=why%20rings%3F&format=json": js(results)}) as engine:
        with (home / "settings.toml").open("a") as stream:
            stream.write(f'[chat]\nweb_url = "{engine.url}"\n')
        done = await ask(home, "why rings? @web", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["context"] == ["the output of web"]
        assert len(engine.seen.requests) == 1


async def test_without_a_search_engine_it_says_so(home: Path):
    done = await ask(home, "why rings? @web")
    assert done.returncode == 0
    assert "no search engine of yours is set" in done.stderr
    assert "chat.web_url" in done.stderr


# With a terminal


async def on_a_terminal(home: Path, answers: list[str], *arguments: str) -> tuple[int, str, str]:
    """Run with a terminal as stdin, giving an answer at each question: (exit code, stdout, stderr)."""
    ours, theirs = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hearth", "ask", *arguments, env=environment(home), cwd=home / "ws", stdin=theirs,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout
        assert process.stderr
        said = ""
        async with asyncio.timeout(TIMEOUT_S):
            while piece := await process.stderr.read(4_096):
                said += piece.decode()
                if said.count("send it?") > said.count("<answered>") and answers:
                    said += "<answered>"
                    os.write(ours, f"{answers.pop(0)}\n".encode())
            out = (await process.stdout.read()).decode()
            return await process.wait(), out, said
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
async def test_consent_is_asked_with_everything_that_matters(home: Path, router: Emulator):
    code, out, said = await on_a_terminal(home, ["s", "y"], "why @file:a.py?", "--cloud")
    assert (code, out) == (0, "From the cloud.\n"), said
    for piece in ("This would leave your machine", FREE, "a.py", "free", "bytes", "def add(a, b):"):
        assert piece in said, piece
    assert len(sent(router)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize(("answer", "code", "out"), [("n", 3, ""), ("", 3, ""), ("l", 0, ANSWER), ("maybe", 3, "")])
async def test_everything_but_yes_sends_nothing(home: Path, router: Emulator, answer: str, code: int, out: str):
    assert (await on_a_terminal(home, [answer], "why?", "--cloud"))[:2] == (code, out)
    assert sent(router) == []


async def test_the_codebase_is_searched_and_mapped(home: Path):
    (home / "settings.toml").write_text(
        (home / "settings.toml").read_text().replace("enabled = false\n", "enabled = true\n")
    )
    (home / "ws" / "b.py").write_text("from a import add\n\n\ndef twice(a):\n    return add(a, a)\n")
    done = await ask(home, "@codebase @symbol:twice who calls add twice?", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {"a.py", "b.py"} <= {label.partition(",")[0] for label in said["context"]}, said
    assert [note for note in said["notes"] if "@" in note] == []
