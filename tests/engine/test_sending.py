"""What of a completion's prompt goes to which server, in which words, and what comes back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.backends.base import Delta, Finish
from hearth.backends.scripted import Rule, Script, ScriptedBackend
from hearth.complete import Completer, Outcome
from hearth.core.background import Background
from hearth.core.context import CompletionContext, Hunk, Snippet
from hearth.core.copying import CopyPrediction
from hearth.core.dialect import DIALECTS
from hearth.core.gate import Extent
from hearth.core.origin import PRODUCT
from hearth.core.prompt import Stability, anchor_at
from hearth.core.redact import Redactor
from hearth.core.text import Snapshot
from hearth.errors import EgressDenied, HearthError
from hearth.gateway import Gateway, Member
from hearth.gather import Spot, spot_at
from hearth.masking import Masks
from hearth.rulings import Rulings
from hearth.sending import Sending, masked_apart, restored
from hearth.settings import CompletionSettings
from hearth.store import Memory

HERE, OWN = "inproc:", "http://model.lan:8080"
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
QWEN = DIALECTS["qwen"]


class Distant(ScriptedBackend):
    """A model server on a host of the user's own."""

    @property
    def url(self) -> str:
        return OWN


@dataclass
class Bench:
    root: Path
    rulings: Rulings
    sending: Sending
    completer: Completer
    backend: ScriptedBackend
    version: int = 0

    def uri(self, name: str) -> str:
        return (self.root / name).as_uri()

    async def shows(self, name: str, text: str) -> None:
        """From now on prompts have this piece of another file before their own text."""
        found = CompletionContext(snippets=(Snippet(name, text, self.uri(name), "index"),))
        self.completer.pilot.background = Background(((await self.sending.cleared(found, HERE)).snippets,))

    async def ask(self, marked: str, name: str = "a.py") -> Outcome:
        before, after = marked.split("█")
        self.version += 1
        snapshot = Snapshot.of(before + after, uri=self.uri(name), language="python", version=self.version)
        self.rulings.opened(snapshot.uri)
        self.completer.changed(snapshot)
        return await self.completer.complete(snapshot, snapshot.position_at(len(before)), invoked=True, selected=None)


@asynccontextmanager
async def bench(
    root: Path, script: Script, *, own: bool = False, never: tuple[str, ...] = (), trusted: bool = True
) -> AsyncGenerator[Bench]:
    backend = Distant(script) if own else ScriptedBackend(script)

    async def find() -> list[Member]:
        return [Member(backend, ("complete",))]

    async def no_copy(spot: Spot, extent: Extent) -> CopyPrediction | None:
        return None

    told: list[HearthError] = []
    gateway = Gateway(find, ("model.lan",), told.append)
    rulings = Rulings(never, trusted=trusted, tell=told.append)
    rulings.set_folders([root])
    sending = Sending(rulings, Masks(lambda: [root], {}, root / "home").of)
    completer = Completer(gateway, Memory(), no_copy, CompletionSettings(), lambda uri: ("w", "a.py"), sending)
    running = asyncio.create_task(gateway.run())
    await gateway.probed.wait()
    try:
        yield Bench(root, rulings, sending, completer, backend)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await completer.aclose()
        await gateway.aclose()


def text_of(outcome: Outcome) -> str:
    return outcome.suggestions[0].text if outcome.suggestions else ""


# Whether


async def test_on_this_machine_a_file_of_the_workspace_goes_as_it_is(tmp_path: Path) -> None:
    async with bench(tmp_path, Script(text="1\n"), never=("a.py",), trusted=False) as b:
        assert text_of(await b.ask(f'token = "{TOKEN}"\nx = █\n')) == "1"
        assert TOKEN in b.backend.counts.prompts[-1]


@pytest.mark.parametrize("name", [".env", "id_rsa", "deploy/prod.tfvars", ".ssh/a.py"])
@pytest.mark.parametrize("own", [False, True])
async def test_a_file_of_secrets_goes_into_no_prompt(tmp_path: Path, name: str, own: bool) -> None:
    async with bench(tmp_path, Script(text="1\n"), own=own) as b:
        outcome = await b.ask("x = █\n", name)
        assert (outcome.source, b.backend.counts.calls) == ("none", 0)
        assert "is a file of secrets by its name, so it" in outcome.reason


async def test_a_link_to_a_file_of_secrets_goes_into_no_prompt(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n")
    (tmp_path / "notes.py").symlink_to(".env")
    async with bench(tmp_path, Script(text="1\n")) as b:
        await b.ask("x = █\n", "notes.py")
        assert b.backend.counts.calls == 0


async def test_an_excluded_file_goes_only_while_it_is_open(tmp_path: Path) -> None:
    (tmp_path / ".aiexclude").write_text("private.py\n")
    async with bench(tmp_path, Script(text="1\n")) as b:
        assert text_of(await b.ask("x = █\n", "private.py")) == "1"
        await b.shows("private.py", "canary = 1\n" * 30)
        await b.ask("y = █\n")
        assert "canary" in b.backend.counts.prompts[-1]
        b.rulings.closed(b.uri("private.py"))
        assert text_of(await b.ask("z = █\n")) == "1"
        assert "canary" not in b.backend.counts.prompts[-1]


async def test_a_rule_that_is_written_later_counts_from_the_next_key(tmp_path: Path) -> None:
    async with bench(tmp_path, Script(text="1\n")) as b:
        snippet = Snippet("b.py", "canary = 1\n" * 30, b.uri("b.py"), "index")
        hunk = Hunk("b.py", b.uri("b.py"), 1, ("canary_old",), ("canary_new",))
        context = await b.sending.cleared(CompletionContext(snippets=(snippet,), hunks=(hunk,)), HERE)
        b.completer.pilot.background = Background((context.snippets,), context.hunks)
        await b.ask("y = █\n")
        assert "canary = 1" in b.backend.counts.prompts[-1]
        assert "canary_new" in b.backend.counts.prompts[-1]
        (tmp_path / ".clineignore").write_text("b.py")
        b.rulings.file_changed(tmp_path / ".clineignore")
        assert text_of(await b.ask("z = █\n")) == "1"
        assert "canary" not in b.backend.counts.prompts[-1]
        context = await b.sending.cleared(CompletionContext(snippets=(snippet,), hunks=(hunk,)), HERE)
        assert context == CompletionContext()


async def test_what_must_never_leave_is_in_no_prompt_for_another_host(tmp_path: Path) -> None:
    async with bench(tmp_path, Script(text="1\n"), own=True, never=("b.py", "*.sql")) as b:
        await b.shows("b.py", "canary = 1\n" * 30)
        assert text_of(await b.ask("y = █\n")) == "1"
        assert "canary" not in b.backend.counts.prompts[-1]
        outcome = await b.ask("x = █\n", "q.sql")
        assert b.backend.counts.calls == 1
        assert "must never leave" in outcome.reason


async def test_nothing_of_an_untrusted_workspace_goes_to_another_host(tmp_path: Path) -> None:
    async with bench(tmp_path, Script(text="1\n"), own=True, trusted=False) as b:
        assert "not trusted" in (await b.ask("x = █\n")).reason
        assert b.backend.counts.calls == 0
        b.rulings.trusted = True
        assert text_of(await b.ask("x = █\n")) == "1"


async def test_what_a_server_reads_ahead_passes_the_same_gate(tmp_path: Path) -> None:
    async with bench(tmp_path, Script(text="1\n", prefills=1), own=True) as b:
        snapshot = Snapshot.of(f'token = "{TOKEN}"\nx = \n', uri=b.uri("a.py"), language="python")
        b.rulings.opened(snapshot.uri)
        spot = spot_at(snapshot, snapshot.position_at(len(snapshot.text) - 1))
        target = b.completer.pilot._gateway.target("complete")
        assert target
        await b.completer.pilot.read_ahead(spot, target, Background())
        [prompt] = b.backend.counts.prompts
        assert TOKEN not in prompt
        env = Snapshot.of("A=\n", uri=b.uri(".env"), language="dotenv")
        b.rulings.opened(env.uri)
        await b.completer.pilot.read_ahead(spot_at(env, env.position_at(2)), target, Background())
        assert len(b.backend.counts.prompts) == 1


async def test_a_prompt_of_which_nobody_knows_the_origins_goes_nowhere(tmp_path: Path) -> None:
    rulings = Rulings()
    snapshot = Snapshot.of("x = \n", uri="file:///w/a.py", language="python")
    sending = Sending(rulings, Masks(list, {}, tmp_path).of)
    frozen = anchor_at(snapshot, snapshot.position_at(4), QWEN, path="a.py", repo="w", prompt_tokens_max=4096)
    with pytest.raises(EgressDenied):
        await sending.ready(snapshot.uri, frozen, "x = ", HERE)  # nobody has it open
    rulings.opened(snapshot.uri)
    assert (await sending.ready(snapshot.uri, frozen, "x = ", HERE)).prompt == frozen.head + "x = "
    with pytest.raises(EgressDenied, match="does not say what it was made from"):
        await sending.ready(snapshot.uri, frozen, "x = ", OWN)


async def test_every_segment_knows_its_origins(tmp_path: Path) -> None:
    rulings = Rulings()
    rulings.set_folders([tmp_path])
    uri = {name: (tmp_path / name).as_uri() for name in ("a.py", "b.py", "c.py")}
    background = Background(
        ((Snippet("b.py", "def helper():\n    return 1\n", uri["b.py"], "index"),),),
        (Hunk("c.py", uri["c.py"], 1, ("old",), ("new",)),),
    )
    snapshot = Snapshot.of("import os\n" * 3 + "x = \n\nprint(x)\n", uri=uri["a.py"], language="python")
    for dialect in DIALECTS.values():
        frozen = anchor_at(
            snapshot,
            snapshot.position_at(34),
            dialect,
            path="a.py",
            repo="w",
            prompt_tokens_max=4096,
            background=background,
            origin_of=rulings.origin,
        )
        assert "".join(segment.text for segment in frozen.segments) == frozen.head
        for segment in frozen.segments:
            files = {origin.path for origin in segment.origins}
            expected = {"a.py"}
            if "helper" in segment.text:
                expected = {"b.py"}
            if segment.stability is Stability.RECENT:
                expected = {"a.py", "c.py"}
            assert files == ({""} if segment.origins == (PRODUCT,) else expected), (dialect.name, segment)


# In which words


async def test_secrets_are_masked_for_another_host_and_put_back_into_what_is_shown(tmp_path: Path) -> None:
    rule = Rule(contains="HEARTH_SECRET_1", text="f(<HEARTH_SECRET_1:github-token>)\n")
    async with bench(tmp_path, Script(text="no\n", rules=(rule,), chunk_chars=3), own=True) as b:
        await b.ask(f'token = "{TOKEN}"\nx = █\n')
        prompt = b.backend.counts.prompts[-1]
        assert TOKEN not in prompt
        assert "HEARTH_SECRET_1" in prompt
    name = prompt[prompt.index("<HEARTH") : prompt.index(">", prompt.index("<HEARTH")) + 1]
    (tmp_path / "more").mkdir()
    async with bench(tmp_path, Script(text=f'call("{name}", 1)\n', chunk_chars=3), own=True) as b:
        assert text_of(await b.ask(f'token = "{TOKEN}"\nx = █\n')) == f'call("{TOKEN}", 1)'


async def test_known_values_are_masked_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SHOP_PASSWORD=correct-horse-battery-1\n")
    async with bench(tmp_path, Script(text="1\n"), own=True) as b:
        await b.shows("b.py", "def connect():\n    return open_with('correct-horse-battery-1')\n")
        await b.ask("# correct-horse-battery-1\nx = f('correct-horse-battery-1', █\n# correct-horse-battery-1\n")
        [prompt] = b.backend.counts.prompts
        assert "correct-horse" not in prompt
        assert prompt.count("<HEARTH_SECRET_1:known-value>") == 4


async def test_a_masked_prompt_keeps_its_beginning_while_it_is_typed_in(tmp_path: Path) -> None:
    above = "".join(f"def f{n}(a):\n    return a + {n}\n\n" for n in range(40))
    above += f'TOKEN = "{TOKEN}"\n' + "".join(f"v{n} = {n}\n" for n in range(20))
    async with bench(tmp_path, Script(text="1\n"), own=True) as b:
        for typed in range(1, 60):
            b.completer.memory.forget(b.uri("a.py"))
            text = f'result = connect(TOKEN, retries=3)\nother = "{TOKEN}"\n'[:typed]
            await b.ask(f"{above}{text}█\n\nprint(1)\n")
            b.completer.pilot.nothing.clear()
        prompts = b.backend.counts.prompts
        assert len(prompts) > 40
        assert not any(TOKEN in prompt for prompt in prompts)
        head = next(iter(b.completer.pilot.anchors.values())).head
        assert TOKEN in head
        shared = [len(common(one, other)) for one, other in pairwise(prompts)]
        whole = min(len(prompt) for prompt in prompts)
        assert min(shared) >= whole - 2, "each prompt extends the one before, as far as it is typed"


def common(one: str, other: str) -> str:
    count = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:count]


async def test_a_segment_is_masked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    redact = Redactor.redact
    monkeypatch.setattr(Redactor, "redact", lambda self, text: (looked.append(len(text)), redact(self, text))[1])
    above = "".join(f"value_{n} = {n}\n" for n in range(200))
    async with bench(tmp_path, Script(text="1\n"), own=True) as b:
        for text in ("x = ", "x = f", "x = fo", "x = foo"):
            b.completer.memory.forget(b.uri("a.py"))
            await b.ask(f"{above}{text}█\n")
        assert b.backend.counts.calls >= 2
        assert max(looked[-1:]) <= 2_100, "only what was typed, with a little before it"


def test_a_secret_that_reaches_over_a_border_is_in_neither_part() -> None:
    redactor = Redactor(("correct-horse-battery",))
    assert masked_apart(redactor, ("a = correct-ho", "rse-battery", " + 1")) == [
        "a = <HEARTH_SECRET_1:known-value>",
        "",
        " + 1",
    ]
    assert masked_apart(redactor, ("", "x", "correct-horse-battery")) == ["", "x", "<HEARTH_SECRET_1:known-value>"]


@given(st.lists(st.sampled_from(["a", "\n", "correct-", "horse", "-battery", "<", ">", "é"]), max_size=30), st.data())
def test_masking_in_parts_is_masking_the_whole(pieces: list[str], data: st.DataObject) -> None:
    whole = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    edges = [0, *cuts, len(whole)]
    parts = [whole[a:b] for a, b in pairwise(edges)]
    secrets = ("correct-horse-battery", "horse<horse")
    assert "".join(masked_apart(Redactor(secrets), parts)) == Redactor(secrets).redact(whole).text


@given(
    st.lists(st.sampled_from(["a", "<", "<HEARTH_SE", "CRET_1:known-value>", "<HEARTH_SECRET_1:known-value>", "\n"]))
)
async def test_what_comes_back_is_restored_however_it_is_cut(pieces: list[str]) -> None:
    redactor = Redactor(("correct-horse-battery",))
    redactor.redact("correct-horse-battery")

    async def events() -> AsyncGenerator[Delta | Finish]:
        for piece in pieces:
            yield Delta(piece, logprobs=(0.5,))
        yield Finish("stop")

    told = [event async for event in restored(events(), redactor.restorer())]
    assert isinstance(told[-1], Finish)
    deltas = [event for event in told if isinstance(event, Delta)]
    assert "".join(event.text for event in deltas) == redactor.restore("".join(pieces))
    assert all(event.text for event in deltas)
    assert sum(len(event.logprobs) for event in deltas) == len(pieces) or not deltas


async def test_a_document_that_was_masked_is_masked_alike_again(tmp_path: Path) -> None:
    """The placeholders live as long as the document's session: also through a new anchor."""
    async with bench(tmp_path, Script(text="1\n"), own=True) as b:
        await b.ask(f'a = "{TOKEN}"\nx = █\n')
        first = b.backend.counts.prompts[-1]
        await b.ask(f'# another beginning\na = "{TOKEN}"\nb = "{TOKEN[:-4]}zzzz"\ny = █\n')
        second = b.backend.counts.prompts[-1]
        name = first[first.index("<HEARTH") : first.index(">", first.index("<HEARTH")) + 1]
        assert f'a = "{name}"' in second
        assert "<HEARTH_SECRET_2:" in second


async def test_a_secret_that_stands_before_and_behind_the_cursor(tmp_path: Path) -> None:
    lines = ["MIIEowIBAAKCAQEAt5mX1xqGQ0n0m8mR2m5b1c0Vh3q9Zb8w7x6y5z4a3b2c1d0e"] * 6
    marked = "\n".join(
        ["k = '''-----BEGIN RSA PRIVATE KEY-----", *lines, "█", *lines, "-----END RSA PRIVATE KEY-----'''"]
    )
    async with bench(tmp_path, Script(text="1\n"), own=True) as b:
        await b.ask(marked + "\nx = 1\n")
        assert all("MIIEowIBAAKCAQ" not in prompt for prompt in b.backend.counts.prompts)
