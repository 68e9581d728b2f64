"""A task that is escalated: consent, budget, ledger; the cloud gives up in its midst, and the local model goes on."""

import json
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from egress.rig import FREE, NOON, Asked, Local, SharedCourier, house
from hearth.agent.base import Abilities, Consenting, Parts
from hearth.agent.run import run_task
from hearth.backends.base import Chat, Delta, Finish, Usage
from hearth.core.route import Choice
from hearth.ledger_reading import verify
from openrouter.account import Refused
from openrouter.emulator import Emulator, Reply
from scenarios.models import Ideal
from scenarios.scenario import scenarios
from scenarios.served import said

pytestmark = pytest.mark.asyncio(loop_scope="module")
IDEAL = Ideal(scenarios()["rename_function"])
LIMIT = Refused(429, "Rate limit exceeded: free-models-per-day", {"limit_source": "openrouter_free_tier_daily"})


class Answering(Emulator):
    """OpenRouter with the ideal model behind it; from its `gives_up_at`th request on the free quota is used up."""

    gives_up_at = 3
    asked = 0

    def _completion(self, seen):
        self.asked += 1
        over = self.asked >= self.gives_up_at
        reply = Reply(refuse=LIMIT) if over else Reply(said(IDEAL, json.loads(seen.body)["messages"]))
        self.script.append(reply)
        return super()._completion(seen)


class Thinking(Local):
    """The same model here."""

    async def chat(self, request: Chat):
        self.asked.append(request)
        yield Delta(said(IDEAL, request.messages))
        yield Finish("stop", Usage(sum(len(str(one["content"])) for one in request.messages) // 3, 20, 10))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def courier():
    one = SharedCourier()
    yield one
    await one.end()


def parts_of(home, consent, folder: Path) -> Parts:
    return Parts(
        partial(home.door.ask, consent=consent),
        Consenting(),
        folder / "tasks",
        abilities=Abilities(16_000, 2_000, tools=False, schema=False),
        choice=Choice("cloud"),
        trusted=False,  # no checks: they are not what this is about
    )


async def test_escalated_then_at_home(tmp_path, courier):
    local = Thinking(context_tokens=32_000)
    async with house(
        tmp_path, local=local, router=Answering(clock=lambda: NOON), models=[FREE], courier=courier
    ) as home:
        IDEAL.scenario.write(home.folder)
        consent = Asked(["Send for this session"])
        outcome = await run_task(IDEAL.scenario.goal, home.folder, parts_of(home, consent, tmp_path))
        assert outcome.ending == "unverified", outcome.stop
        solved = dict(IDEAL.scenario.solution)
        assert outcome.changes == solved
        assert len(consent.proposals) == 1, "asked once for the whole task"
        assert local.asked, "the local model went on"
        sent = home.left()
        assert [entry.status for entry in sent] == ["done", "done", "failed"]
        assert {entry.intent.kind for entry in sent} == {"task"}
        assert list(outcome.certificate["left_machine"]) == [entry.seq for entry in sent[:2]]
        assert verify(home.home / "ledger").whole
        assert {path.name: path.read_text() for path in home.folder.glob("*.md")} == {
            "README.md": IDEAL.scenario.files["README.md"]
        }, "nothing was written"


async def test_without_consent_it_stays_at_home(tmp_path, courier):
    local = Thinking(context_tokens=32_000)
    router = Answering(clock=lambda: NOON)
    async with house(tmp_path, local=local, router=router, models=[FREE], courier=courier) as home:
        IDEAL.scenario.write(home.folder)
        consent = Asked(["Use local model"])
        outcome = await run_task(IDEAL.scenario.goal, home.folder, parts_of(home, consent, tmp_path))
        assert outcome.ending == "unverified", outcome.stop
        assert home.left() == []
