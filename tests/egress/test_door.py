"""The door end to end: a real courier and ledger, OpenRouter as documented, consent, and the way back."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest
import pytest_asyncio

from egress.rig import CLAUDE, FREE, KEY, NOON, PAID, Asked, Local, SharedCourier, Told, house, said_to, turn
from hearth.agent.abilities import abilities
from hearth.cloud import CONTEXT_TOKENS
from hearth.consents import Consents
from hearth.core.exchange import Note, Placed, Restarted, Text, Tool, assistant, system, user
from hearth.core.origin import file_origin
from hearth.core.quota import limited
from hearth.core.route import Choice
from hearth.door import CONTEXT_UNKNOWN_TOKENS
from hearth.errors import ConsentRefused, HearthError, NobodyAnswers, NotAffordable, ServerFault
from hearth.ledger_reading import entries, sent, verify
from openrouter.account import Account, Refused, flat
from openrouter.emulator import Emulator, Reply

SECRET = "hunter2-correct-horse-battery"


class Clock:
    """Epoch seconds that go on when told to."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def courier():
    one = SharedCourier()
    yield one
    await one.end()


@pytest.fixture
def built(tmp_path, courier):
    """`async with built(...)`: a house with the shared courier."""
    return partial(house, tmp_path, courier=courier)


async def test_a_question_goes_out_after_consent_and_comes_back(built):
    async with built() as home:
        user_says = Asked()
        told = await home.ask(home.request("what is this?", home.file("src/a.py", "x = 1\n")), user_says)
        assert told.text == Reply().text
        assert told.done.place == "cloud"
        assert told.done.model == FREE
        assert told.places == [FREE]
        (proposal,) = user_says.proposals
        assert "src/a.py" in {origin.path for origin in proposal.origins}
        assert "x = 1" in proposal.exact
        assert proposal.most == 0
        (entry,) = home.left()
        assert entry.status == "done"
        assert entry.intent.approval == "for this request"
        assert entry.intent.model == FREE
        assert told.done.entries == (entry.seq,)
        assert [origin.path for origin in entry.parts_of(home.folder / "src/a.py")] == ["src/a.py"]
        # What the ledger kept is what arrived, byte for byte; and the key is nowhere in it.
        posted = [seen for seen in home.router.captured if seen.method == "POST"]
        assert [seen.body for seen in posted] == [sent(home.home / "ledger", entry)]
        assert KEY not in sent(home.home / "ledger", entry).decode()
        assert verify(home.home / "ledger").whole


async def test_everything_that_arrives_is_in_the_ledger_the_catalogue_too(built):
    async with built() as home:
        await home.ask(home.request())
        recorded = [f"{e.intent.target}" for e in entries(home.home / "ledger")]
        assert recorded == [
            "GET /api/v1/key",
            "GET /api/v1/models",
            "GET /api/v1/models?zdr=true",
            "POST /api/v1/chat/completions",
        ]
        assert len(home.router.captured) == len(recorded)


@pytest.mark.parametrize("answer", ["Cancel", None])
async def test_without_consent_nothing_leaves(built, answer):
    async with built(local=Local()) as home:
        with pytest.raises(ConsentRefused):
            await home.ask(home.request("tell me", home.file("a.py", "x = 1\n")), Asked([answer]))
        assert home.left() == []
        assert not [seen for seen in home.router.captured if seen.method == "POST"]


async def test_the_local_model_can_be_chosen_instead(built):
    async with built(local=Local("mine")) as home:
        told = await home.ask(home.request(), Asked(["Use local model"]))
        assert told.text == "mine"
        assert told.done.place == "machine"
        assert home.left() == []


async def test_show_exactly_asks_again(built):
    async with built() as home:
        says = Asked(["Show exactly", "Show exactly", "Send"])
        told = await home.ask(home.request(), says)
        assert told.done.place == "cloud"
        assert len(says.proposals) == 3


async def test_local_first_without_a_reason_to_leave(built):
    async with built(local=Local("mine")) as home:
        says = Asked()
        told = await home.ask(home.request(choice=Choice()), says)
        assert told.text == "mine"
        assert says.proposals == []
        assert home.router.captured == []
        assert "ready" in told.of(Placed)[0].reason


async def test_what_does_not_fit_here_goes_out(built):
    async with built(local=Local(context_tokens=1_000)) as home:
        told = await home.ask(home.request("read this", home.file("long.py", "x = 1\n" * 2_000), choice=Choice()))
        assert told.done.place == "cloud"
        assert "no local model can take this" in told.of(Placed)[0].reason


async def test_a_session_is_asked_once_for_each_kind_and_workspace(built, tmp_path):
    async with built() as home:
        says = Asked(["Send for this session"])
        await home.ask(home.request("one"), says)
        await home.ask(home.request("two"), says)
        assert len(says.proposals) == 1
        await home.ask(home.request("three", kind="explain"), says)
        assert len(says.proposals) == 2
        await home.ask(home.request("four", workspace=str(tmp_path)), says)
        assert len(says.proposals) == 3
        assert [e.intent.approval for e in home.left()] == ["for this session"] * 4


async def test_consent_for_one_request_is_used_up(built):
    async with built() as home:
        says = Asked()
        await home.ask(home.request("same"), says)
        await home.ask(home.request("same"), says)
        assert len(says.proposals) == 2


async def test_consent_for_a_workspace_outlives_the_session(built):
    async with built(approval="workspace") as home:
        await home.ask(home.request("one"))
        port = home.router
    async with built(approval="workspace", router=Emulator(clock=port.clock)) as home:
        says = Asked()
        # Another address: an approval is for a destination.
        await home.ask(home.request("two"), says)
        assert len(says.proposals) == 1
        await home.ask(home.request("three"), says)
        assert len(says.proposals) == 1


@pytest.mark.parametrize("approval", ["session", "workspace"])
async def test_what_was_agreed_to_can_be_taken_back(built, approval):
    async with built(approval=approval) as home:
        says = Asked()
        await home.ask(home.request("one"), says)
        (given,) = home.cloud.consents.given()
        assert (given.destination, given.kind, given.folder) == (home.router.url, "ask", str(home.folder))
        assert (given.scope, given.since) == (approval, NOON)
        # What is kept is taken back by any process; what ends with the session by its own alone.
        other = Consents(home.home / "cloud/consents", home.router.clock)
        assert other.given() == ([given] if approval == "workspace" else [])
        assert (other if approval == "workspace" else home.cloud.consents).revoke(given.id)
        assert home.cloud.consents.given() == []
        await home.ask(home.request("two"), says)
        assert len(says.proposals) == 2


async def test_secrets_are_masked_on_the_way_out_and_restored_on_the_way_back(built):
    async with built(environ={"OPENROUTER_API_KEY": KEY, "DB_PASSWORD": SECRET}) as home:
        says = Asked()
        home.router.then(Reply("Use <HEARTH_SECRET_1:known-value> there."))
        told = await home.ask(home.request("why?", home.file("a.py", f"connect('{SECRET}')\n")), says)
        assert SECRET not in said_to(home.router)
        assert told.text == f"Use {SECRET} there."
        assert says.proposals[0].masked == ("known-value",)
        assert SECRET not in says.proposals[0].exact
        (entry,) = home.left()
        assert [mask.rule for mask in entry.intent.masked] == ["known-value"]
        body = sent(home.home / "ledger", entry)
        assert body[entry.intent.masked[0].offset :].startswith(b"<HEARTH_SECRET_1:")


async def test_a_conversation_keeps_its_placeholders_and_its_beginning(built):
    async with built(environ={"OPENROUTER_API_KEY": KEY, "DB_PASSWORD": SECRET}) as home:
        first = (system("You help."), user(f"the password is {SECRET}"))
        told = await home.ask(home.request(messages=first))
        more = (*first, assistant(told.text, first), turn("user", f"again: {SECRET}"))
        await home.ask(home.request(messages=more))
        one, two = home.router.sent_bodies
        assert flat(two["messages"])[0].startswith(flat(one["messages"])[0])
        assert one["session_id"] == two["session_id"]
        assert str(home.folder) not in one["session_id"]
        assert SECRET not in said_to(home.router)


async def test_a_file_that_an_ignore_file_excludes_is_for_no_model(built, tmp_path):
    async with built(local=Local("mine")) as home:
        part = home.file("private/plan.md", "the plan\n")
        (tmp_path / "work/.aiexclude").write_text("private/\n")
        with pytest.raises(NobodyAnswers, match=r"\.aiexclude"):
            await home.ask(home.request("summarise", part))
        assert home.local.asked == []
        assert home.router.captured == []


async def test_never_stays_here_also_in_other_words(built):
    async with built(local=Local("the gist"), never=("secret/*",)) as home:
        first = (system("You help."), user("summarise", home.file("secret/plan.md", "the plan\n")))
        told = await home.ask(home.request(messages=first))
        assert told.done.place == "machine"
        assert "privacy.never" in told.notes
        answer = assistant(told.text, first)
        told = await home.ask(home.request(messages=(system("You help."), user("go on"), answer, turn("user", "more"))))
        assert told.done.place == "machine"
        assert home.router.captured == []


async def test_an_untrusted_workspace_sends_nothing(built):
    async with built(local=Local("mine"), trusted=False) as home:
        told = await home.ask(home.request("what?", home.file("a.py", "x\n")))
        assert told.text == "mine"
        assert "not trusted" in told.notes
        assert home.router.captured == []


async def test_the_cloud_switched_off_sends_nothing_and_starts_no_courier(tmp_path):
    async with house(tmp_path, local=Local("mine"), enabled=False) as home:
        told = await home.ask(home.request())
        assert told.text == "mine"
        assert "switched off" in told.notes
        assert home.courier.pid is None


async def test_without_a_key_the_user_hears_which_variable_is_missing(built):
    async with built(environ={}) as home:
        with pytest.raises(NobodyAnswers, match="OPENROUTER_API_KEY"):
            await home.ask(home.request())
        assert home.router.captured == []


# Failures and the way back


FAILURES = {
    "429 of the day": Refused(
        429, "Rate limit exceeded: free-models-per-day", {"limit_source": "openrouter_free_tier_daily"}
    ),
    "402": Refused(402, "Insufficient credits", {"error_type": "payment_required"}),
    "503": Refused(503, "No endpoints available", {}),
    "403 moderation": Refused(403, "flagged", {"reasons": ["x"]}),
    "401": Refused(401, "User not found."),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_back_to_the_local_model_with_a_note(built, failure):
    async with built(local=Local("from here"), models=[FREE]) as home:
        home.router.then(*[Reply(refuse=FAILURES[failure])] * 2)
        told = await home.ask(home.request())
        assert told.text == "from here"
        assert told.done.place == "machine"
        assert "Now local-model, here on this machine, answers." in told.notes
        assert all(entry.status == "failed" and entry.result.cost == 0 for entry in home.left())


async def test_an_answer_that_breaks_off_counts_for_nothing(built):
    async with built(local=Local("whole"), models=[FREE]) as home:
        home.router.then(Reply("half an ans", error=(502, "Provider disconnected", "provider_unavailable")))
        told = await home.ask(home.request())
        assert told.text == "whole"
        assert len(told.of(Restarted)) == 1
        (entry,) = home.left()
        assert entry.status == "failed"


async def test_the_next_model_of_the_cloud_comes_before_the_local_one(built):
    async with built(local=Local(), models=[FREE, PAID]) as home:
        home.router.account.credits = 5.0
        home.router.then(*[Reply(refuse=FAILURES["503"])] * 2, Reply("paid for"))
        told = await home.ask(home.request())
        assert told.text == "paid for"
        assert told.places == [FREE, PAID]
        assert told.done.cost > 0
        assert home.left()[-1].result.cost == told.done.cost


async def test_a_cloud_that_is_gone_is_left_alone_and_its_return_tried_without_the_users_words(built):
    clock = Clock()
    async with built(local=Local("mine"), models=[FREE], router=Emulator(clock=clock)) as home:
        await home.ask(home.request("warm"))
        await home.router.__aexit__(None, None, None)
        for _ in range(4):
            told = await home.ask(home.request("again"))
            assert told.text == "mine"
        assert "cannot be reached" in told.notes
        assert len([e for e in home.left() if e.status == "not sent"]) == 3, "the breaker opened after three"
        clock.now += 20
        told = await home.ask(home.request("still gone"))
        assert "cannot be reached" in told.notes
        assert len([e for e in home.left() if e.status == "not sent"]) == 3, "the key's state was asked for instead"
        await home.router.__aenter__()
        clock.now += 100
        told = await home.ask(home.request("and back"))
        assert told.done.place == "cloud"


async def test_closing_breaks_it_off_and_says_so_in_the_ledger(built):
    async with built() as home:
        home.router.then(Reply("endless", hang=True))
        async with aclosing(home.door.ask(home.request(), Asked())) as events:
            async for event in events:
                if isinstance(event, Text):
                    break
        (entry,) = home.left()
        assert entry.status == "cancelled"


async def test_nobody_at_all(built):
    async with built(enabled=False) as home:
        with pytest.raises(NobodyAnswers) as caught:
            await home.ask(home.request(choice=Choice()))
        assert caught.value.remedy


async def test_a_local_failure_is_told_and_the_cloud_may_take_over(built):
    local = Local("half of it", fails=ServerFault("the server fell over", "Restart it."), fails_after=1)
    async with built(local=local) as home:
        told = await home.ask(home.request(choice=Choice()))
        assert told.done.place == "cloud"
        assert told.text == Reply().text
        assert len(told.of(Restarted)) == 1


# Money and quota


async def test_the_budget_is_a_hard_cap_also_for_parallel_requests(built):
    account = Account(credits=100.0)
    async with built(
        models=[CLAUDE], budget=0.02, approval="session", router=Emulator(account, clock=lambda: NOON)
    ) as home:
        await home.ask(home.request("first", output_tokens=400), Asked(["Send for this session"]))
        asked = [home.ask(home.request(f"question {n}", output_tokens=400, conversation=f"t{n}")) for n in range(8)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        refused = [r for r in results if isinstance(r, HearthError)]
        assert refused
        assert len(refused) < 8
        assert all(isinstance(r, (Told, NotAffordable, NobodyAnswers)) for r in results)
        assert account.usage <= 0.02
        spent = sum(entry.result.cost for entry in home.left())
        assert spent <= Decimal("0.02")


async def broken_off(home) -> None:
    home.router.account.credits = 5.0
    home.router.then(Reply("endless", hang=True))
    async with aclosing(home.door.ask(home.request(), Asked())) as events:
        async for event in events:
            if isinstance(event, Text):
                return


async def test_what_a_broken_answer_did_cost_is_asked_for_later(built):
    async with built(models=[PAID], bills_after_s=(0.0,)) as home:
        await broken_off(home)
        (before,) = home.left()
        assert (before.status, before.result.cost) == ("cancelled", None)
        assert (await home.cloud.money()).spent == before.intent.estimated
        await home.cloud.bills.settled()
        (after,) = home.left()
        (told,) = home.router.generations.values()
        assert after.result.cost == Decimal(str(told["total_cost"]))
        assert 0 < after.result.cost < before.intent.estimated
        assert after.result.completion_tokens == told["native_tokens_completion"]
        assert (await home.cloud.money()).spent == after.result.cost
        assert entries(home.home / "ledger")[-1].intent.target == f"GET /api/v1/generation?id={told['id']}"
        assert verify(home.home / "ledger").whole


async def test_a_refusal_that_comes_in_while_money_is_counted_stays(built):
    async with built(models=[FREE]) as home:
        counting = asyncio.create_task(home.cloud.money())
        await asyncio.sleep(0)  # it has begun, and waits for the ledger
        standing = home.cloud.standing
        home.cloud.standing = replace(standing, quota=limited(standing.quota, NOON, daily=True))
        until = home.cloud.standing.quota.blocked_until
        assert not counting.done()
        await counting
        assert home.cloud.standing.quota.blocked_until == until > NOON


async def test_what_nobody_tells_counts_with_all_that_was_reserved(built):
    async with built(models=[PAID], bills_after_s=(0.0, 0.0)) as home:
        await broken_off(home)
        home.router.generations.clear()
        await home.cloud.bills.settled()
        (entry,) = home.left()
        assert entry.result.cost is None
        assert (await home.cloud.money()).spent == entry.intent.estimated > 0
        asked = [seen for seen in home.router.captured if seen.path.endswith("/generation")]
        assert len(asked) == 2


async def test_an_unknown_price_is_never_asked(built):
    async with built(models=["openrouter/auto", "nobody/knows"], local=Local("mine")) as home:
        told = await home.ask(home.request())
        assert told.text == "mine"
        assert "price" in told.notes
        assert home.left() == []


async def test_what_is_asked_of_the_providers(built):
    async with built(models=[CLAUDE]) as home:
        home.router.account.credits = 5.0
        tool = Tool("search", "Find code.", {"type": "object", "properties": {"q": {"type": "string"}}})
        await home.ask(home.request("hello", tools=(tool,)))
        (body,) = home.router.sent_bodies
        assert body["provider"]["data_collection"] == "deny"
        assert body["provider"]["zdr"] is True
        assert body["provider"]["max_price"] == {"prompt": 3.0, "completion": 15.0}
        assert body["tools"][0]["function"]["name"] == "search"
        assert body["plugins"] == [{"id": "context-compression", "enabled": False}]
        assert body["max_tokens"] == 200
        marks = [m["role"] for m in body["messages"] if isinstance(m["content"], list)]
        assert marks == ["system", "user"]


async def test_tool_calls_come_back_with_what_was_masked(built):
    async with built(environ={"OPENROUTER_API_KEY": KEY, "DB_PASSWORD": SECRET}) as home:
        call = ("c1", "edit", json.dumps({"text": "p = '<HEARTH_SECRET_1:known-value>'"}))
        home.router.then(Reply("", "tool_calls", (call,)))
        tool = Tool("edit", "Change.", {"type": "object"})
        asked = (system("You help."), user(f"write {SECRET}"))
        told = await home.ask(home.request(messages=asked, tools=(tool,)))
        (got,) = told.done.calls
        assert got.arguments == {"text": f"p = '{SECRET}'"}
        again = (*asked, assistant("", asked, told.done.calls), replace(turn("tool", "done"), call_id="c1"))
        await home.ask(home.request(messages=again, tools=(tool,)))
        assert SECRET not in said_to(home.router)


async def test_the_catalogue_is_kept_for_the_next_start(built):
    router = Emulator(clock=lambda: NOON)
    async with built(router=router) as home:
        await home.ask(home.request())
        kept = json.loads((home.home / "cloud/catalogue.json").read_text())
        assert kept["at"] == NOON
        kept["base_url"] = "http://127.0.0.1:1/api/v1"
        (home.home / "cloud/catalogue.json").write_text(json.dumps(kept))
    async with built() as home:
        await home.ask(home.request())
        assert [seen.path for seen in home.router.captured].count("/api/v1/models") == 2, "another address, asked anew"


async def test_the_context_is_that_of_the_model_as_soon_as_it_is_known(built):
    async with built(models=[PAID]) as home:
        assert home.door.room(Choice("cloud")) == home.cloud.context_tokens() == CONTEXT_TOKENS
        assert await home.cloud.look() == ""
        assert home.door.room(Choice("cloud")) == 163_840
        assert home.door.room(Choice("cloud", CLAUDE)) == 1_000_000
        base_url, router = home.cloud.settings.base_url, home.router
    # After a restart as well, before anything is asked.
    async with built(models=[FREE], router=Emulator(clock=router.clock)) as home:
        home.cloud.settings = replace(home.cloud.settings, base_url=base_url)
        await home.cloud.recall()
        assert home.cloud.context_tokens() == 262_144
        assert abilities((), Choice("cloud"), home.cloud.context_tokens()).context_tokens == 262_144
        assert home.router.captured == []
    async with built(models=[FREE], enabled=False) as home:
        assert home.door.room(Choice("cloud")) == CONTEXT_UNKNOWN_TOKENS


async def test_a_ledger_that_cannot_be_written_keeps_everything_here(built, tmp_path):
    async with built(local=Local("mine")) as home:
        (tmp_path / "home").mkdir(exist_ok=True)
        (tmp_path / "home/ledger").write_text("a file where the folder should be")
        told = await home.ask(home.request())
        assert told.text == "mine"
        assert "ledger" in told.notes
        assert home.router.captured == []


async def test_own_hosts_get_masked_text(built):
    local = Local("it is <HEARTH_SECRET_1:known-value>", url="http://box.lan:8080")
    environ = {"DB_PASSWORD": SECRET}
    async with built(local=local, own_hosts=["box.lan"], enabled=False, environ=environ) as home:
        told = await home.ask(home.request("why?", home.file("a.py", f"p = '{SECRET}'\n"), choice=Choice()))
        assert SECRET not in json.dumps([dict(m) for m in local.asked[0].messages])
        assert told.text == f"it is {SECRET}"
        assert told.done.place == "own"


async def test_a_server_that_leaves_a_part_of_the_prompt_out_is_noticed(built):
    async with built(local=Local("so", counts=40), enabled=False) as home:
        long = home.request("why?", home.file("a.py", "one two three four\n" * 200), choice=Choice())
        told = await home.ask(long)
        assert told.done.cut
        assert "did not read all" in told.notes
        told = await home.ask(home.request("why?", choice=Choice()))
        assert not told.done.cut


async def test_what_a_model_thinks_aloud_is_no_part_of_its_answer(built):
    async with built() as home:
        home.router.then(Reply("<think>hm, what could it be?</think>It is one."))
        told = await home.ask(home.request())
        assert told.text == "It is one."


async def test_a_summary_carries_the_origins_of_what_it_is_made_of():
    origin = file_origin("/w", "a.py")
    asked = (system("You help."), user("why?"))
    from_file = replace(asked[1], parts=(*asked[1].parts, replace(asked[1].parts[0], origins=(origin,))))
    assert origin in assistant("so", (asked[0], from_file)).origins
    assert Note("x").remedy == ""
