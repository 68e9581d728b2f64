"""The only way to a chat model: policy, masking, consent, ledger, route, stream, and back to the local model.

    origins -> policy.decide -> route.plan -> [mask -> consent -> ledger ->] stream -> restore
                     ^                                                        |
                     `------------------ planned anew after a failure <------'

Each attempt is planned anew from what is known by then, and none is made twice. What was masked is put back into the
answer here, so that nobody above sees a placeholder. Completions at the cursor have a path of their own (gateway).
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal, Protocol

from hearth.backends.base import Chat, Delta, Finish, Usage
from hearth.backends.cut import was_cut
from hearth.cloud import Arrived, Cloud, Shipment
from hearth.core import approval as approvals
from hearth.core import budget, catalogue, policy, route
from hearth.core.approval import Answer
from hearth.core.budget import ZERO
from hearth.core.exchange import Done, Event, Note, Placed, Request, Restarted, Text, wire, wire_tool
from hearth.core.origin import DESTINATIONS, Destination, Origin
from hearth.core.outgoing import fields_of, proposal_of, task_of, with_marks
from hearth.core.policy import Decision, Rules
from hearth.core.proposal import Proposal
from hearth.core.redact import Redactor
from hearth.core.route import Attempt, Choice, Health, Local, Plan
from hearth.errors import (
    BackendError,
    ConsentRefused,
    EgressDenied,
    HearthError,
    LedgerError,
    NobodyAnswers,
    NotAffordable,
)
from hearth.gateway import Gateway, Server, destination_of
from hearth.masking import Masks, restored_calls

CONTEXT_UNKNOWN_TOKENS = 4_096
ABLE_BILLIONS = 14.0
"""Models with fewer parameters rarely copy many lines exactly: they are asked for a whole symbol instead."""
PROBING_S = 5.0
LOADING_S = 60.0
LOOK_S = 0.05
ATTEMPTS_MAX = 6
ASKED_MAX = 5
"""How often consent is asked for one request: "Show exactly" asks again."""
_SCOPES: dict[str, approvals.Scope] = {scope: scope for scope in approvals.SCOPES}

Consent = Callable[[Proposal], Awaitable[Answer | None]]
"""Asks the user. None: no answer came, which is no consent."""


_SIZE = re.compile(r"(?<![a-z0-9.])(\d{1,3}(?:\.\d)?)b(?![a-z])")


async def nobody(_proposal: Proposal) -> Answer | None:
    """The consent of somebody who is not there to be asked."""
    return "Use local model"


class Judge(Protocol):
    """What the policy must know of the world."""

    async def prepare(self, origins: Iterable[Origin]) -> None:
        """Find out what decisions about these need: what ignore files say of them."""
        ...

    def rules(self, approved: bool = False) -> Rules:
        """For decisions about now."""
        ...


@dataclass(slots=True)
class _Asking:
    """A request on its way through. `tried`: who was asked already. `closed`: why the cloud no longer is.
    `problems`: of the user's own servers, by name."""

    request: Request
    consent: Consent
    choice: Choice
    tried: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])
    closed: str = ""
    problems: dict[str, str] = field(default_factory=dict[str, str])
    error: HearthError | None = None
    said: bool = False
    bound: approvals.Request | None = None

    def failed(self, attempt: Attempt, error: HearthError) -> None:
        self.tried.add(_key(attempt))
        self.error = error
        if attempt.place != "cloud":
            self.problems[attempt.name] = error.message.rstrip(".")
        elif isinstance(error, LedgerError | EgressDenied):
            self.closed = error.message.rstrip(".")


class Door:
    """See the module docstring. Without `cloud` there is none."""

    def __init__(self, gateway: Gateway, cloud: Cloud, judge: Judge, masks: Masks) -> None:
        self._gateway = gateway
        self._cloud = cloud
        self._judge = judge
        self._masks = masks

    async def ask(self, request: Request, consent: Consent = nobody) -> AsyncGenerator[Event]:
        """One answer: see core.exchange for the events. Closing it ends the request wherever it is.

        Raises ConsentRefused, NobodyAnswers, or the last error of those that were asked.
        """
        asking = _Asking(request, consent, request.choice)
        if request.choice.place != "cloud":
            await self.settled()
        try:
            while True:
                plan = await self._plan(asking)
                attempt = next((one for one in plan.attempts if _key(one) not in asking.tried), None)
                if attempt is None or len(asking.tried) >= ATTEMPTS_MAX:
                    raise asking.error or NobodyAnswers(_sentence(plan.reason), _what_to_do(plan))
                for event in _told(asking, attempt, plan):
                    yield event
                try:
                    async with aclosing(self._try(asking, attempt, plan)) as events:
                        async for event in events:
                            asking.said |= isinstance(event, Text)
                            yield event
                    return
                except (BackendError, NotAffordable, LedgerError, EgressDenied) as error:
                    asking.failed(attempt, error)
                except _StaysHere as stays:
                    asking.choice = replace(asking.choice, place="local", model="")
                    asking.closed = stays.message
                    asking.error = ConsentRefused(
                        "Nothing was sent, and no model of yours can take this.",
                        "Start a model server with enough context, or allow the request.",
                    )
        finally:
            if asking.bound is not None:
                self._cloud.consents.used(asking.bound)

    def room(self, choice: Choice) -> int:
        """The context, in tokens, of the model that would be asked first: what a prompt and its answer may have."""
        server = self._first(choice)
        if server is not None:
            return server.probe.context_tokens or CONTEXT_UNKNOWN_TOKENS
        return self._cloud.context_tokens(choice.model) if self._cloud.settings.enabled else CONTEXT_UNKNOWN_TOKENS

    def ability(self, choice: Choice) -> Literal["unknown", "small", "able"]:
        """How exactly that model can be trusted to copy code, by the size that its name tells."""
        server = self._first(choice)
        if server is None:
            return "able"
        sizes = [float(size) for size in _SIZE.findall(server.probe.model.lower())]
        if not sizes:
            return "unknown"
        return "able" if max(sizes) >= ABLE_BILLIONS else "small"

    def asks_away(self, choice: Choice) -> bool:
        """Whether the cloud would be asked first."""
        return choice.place != "local" and not self._cloud.problem and self._first(choice) is None

    def _first(self, choice: Choice) -> Server | None:
        """The user's own model that comes first, None where the cloud does."""
        if choice.place == "cloud" and not self._cloud.problem:
            return None
        servers = self._gateway.targets("chat")
        return next((one for one in servers if one.probe.model == choice.model), servers[0] if servers else None)

    # Who is asked

    async def _plan(self, asking: _Asking) -> Plan:
        request, cloud = asking.request, self._cloud
        await self._judge.prepare(request.origins)
        verdicts = self._verdicts(asking)
        task, health = task_of(request), Health(self._locals(asking.problems), cloud.standing)
        money = budget.Budget(cap=ZERO)
        if route.asks_cloud(task, verdicts, health, asking.choice, cloud.now):
            trouble = await cloud.look()
            try:
                money = await cloud.money()
            except LedgerError as error:
                asking.closed = trouble = error.message.rstrip(".")
            if trouble and (not cloud.models.entries or cloud.standing.door.failures):
                asking.closed = trouble
            verdicts = self._verdicts(asking)
            health = replace(health, cloud=cloud.standing)
        choice = replace(asking.choice, models=asking.choice.models or cloud.settings.models)
        return route.plan(task, verdicts, health, money, cloud.models, choice, cloud.now)

    async def settled(self) -> None:
        """Right after the start, and while a model loads, waiting a little is better than being told that none is."""
        await self._cloud.recall()
        gateway = self._gateway
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROBING_S):
                await gateway.probed.wait()
            async with asyncio.timeout(LOADING_S):
                while not gateway.targets("chat") and any(one.state == "loading" for one in gateway.probes()):
                    await asyncio.sleep(LOOK_S)

    def _verdicts(self, asking: _Asking) -> dict[Destination, Decision]:
        rules, origins = self._judge.rules(), asking.request.origins
        verdicts: dict[Destination, Decision] = {
            place: policy.decide(origins, place, "prompt", rules) for place in DESTINATIONS
        }
        closed = asking.closed or self._cloud.problem
        if closed and verdicts["cloud"].verdict != "deny":
            verdicts["cloud"] = Decision("deny", closed)
        return verdicts

    def _locals(self, problems: Mapping[str, str]) -> tuple[Local, ...]:
        servers = self._gateway.targets("chat")
        if not servers:
            return (Local("local models", "", 0, problem=self._gateway.why_no_target("chat")),)
        found: list[Local] = []
        for server in servers:
            pace = self._gateway.pace(server)
            found.append(
                Local(
                    server.backend.name,
                    server.probe.model or server.backend.name,
                    server.probe.context_tokens or CONTEXT_UNKNOWN_TOKENS,
                    _place(server.backend.url),
                    problems.get(server.backend.name, ""),
                    reads_per_s=pace.prefill_tokens_per_s,
                    writes_per_s=pace.decode_tokens_per_s,
                )
            )
        return tuple(found)

    # Asking them

    def _try(self, asking: _Asking, attempt: Attempt, plan: Plan) -> AsyncGenerator[Event]:
        return self._away(asking, attempt, plan) if attempt.place == "cloud" else self._here(asking, attempt)

    async def _here(self, asking: _Asking, attempt: Attempt) -> AsyncGenerator[Event]:
        """A model server of the user's own."""
        request = asking.request
        server = self._server(attempt.name)
        yield Placed(
            attempt.place, attempt.name, attempt.model, attempt.reason, context_tokens=server.probe.context_tokens
        )
        redactor: Redactor | None = None
        messages = tuple(wire(message) for message in request.messages)
        if attempt.policy.verdict == "redact":
            redactor = await self._masks.of(request.conversation)
            messages = (await self._masks.masked(redactor, request.messages)).messages
        chat = Chat(
            messages,
            attempt.output_tokens,
            stop=request.stop,
            tools=tuple(wire_tool(tool) for tool in request.tools),
            schema=request.schema,
        )
        restorer = redactor.restorer() if redactor else None
        async with aclosing(self._gateway.chat(server, chat)) as events:
            async for event in events:
                if isinstance(event, Finish):
                    if restorer and (rest := restorer.finish()):
                        yield Text(rest)
                    if event.cut:
                        yield _cut(attempt.model)
                    yield _done_here(event, attempt, redactor)
                elif text := restorer.feed(event.text) if restorer else event.text:
                    yield Text(text)

    async def _away(self, asking: _Asking, attempt: Attempt, plan: Plan) -> AsyncGenerator[Event]:
        """The cloud."""
        request, entry = asking.request, attempt.entry
        assert entry is not None
        redactor = await self._masks.of(request.conversation)
        masked = await self._masks.masked(redactor, request.messages)
        approval = await self._agreed(asking, attempt, plan, masked.messages, masked.rules)
        # The user may have taken minutes to answer.
        await self._judge.prepare(request.origins)
        if not policy.decide(request.origins, "cloud", "prompt", self._judge.rules(approved=True)).allowed:
            raise EgressDenied("What may leave has changed meanwhile, so nothing was sent.", "Ask again.")
        yield Placed(
            "cloud", self._cloud.host, entry.id, attempt.reason, attempt.forecast, context_tokens=entry.context_tokens
        )
        shipment = Shipment(
            entry,
            request.kind,
            with_marks(masked.messages, catalogue.breakpoints(entry.id)),
            attempt.output_tokens,
            attempt.forecast,
            request.origins,
            attempt.reason,
            approval,
            request.conversation,
            fields_of(request, entry),
            request.urgent,
        )
        restorer = redactor.restorer()
        async with aclosing(self._cloud.send(shipment)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    if text := restorer.feed(event.text):
                        yield Text(text)
                else:
                    if rest := restorer.finish():
                        yield Text(rest)
                    done = _done_away(event, attempt, redactor, self._cloud.host)
                    if was_cut(masked.messages, Usage(done.prompt_tokens)):
                        yield _cut(done.model)
                        done = replace(done, cut=True)
                    yield done

    def _server(self, name: str) -> Server:
        for server in self._gateway.targets("chat"):
            if server.backend.name == name:
                return server
        raise NobodyAnswers(f"{name} is no longer there.", "Try again.")

    async def _agreed(
        self,
        asking: _Asking,
        attempt: Attempt,
        plan: Plan,
        messages: tuple[dict[str, Any], ...],
        rules: tuple[str, ...],
    ) -> str:
        """By what the request may leave, in words. Raises ConsentRefused or _StaysHere."""
        request, cloud = asking.request, self._cloud
        exact = json.dumps([messages, [wire_tool(tool) for tool in request.tools]], ensure_ascii=False, sort_keys=True)
        digest = sha256(exact.encode("utf-8", "surrogatepass")).hexdigest()
        bound = asking.bound = approvals.Request(cloud.origin, request.kind, request.workspace, digest)
        if known := await asyncio.to_thread(cloud.consents.covering, bound):
            return known.name
        proposal = proposal_of(
            bound, request, attempt, plan, messages, rules, cloud.host, await cloud.money(), cloud.now
        )
        for _ in range(ASKED_MAX):
            answer = await asking.consent(proposal)
            if answer != "Show exactly":
                break
        else:
            answer = None
        if answer == "Use local model":
            raise _StaysHere("you chose a local model")
        scope = approvals.scope_of(answer, _SCOPES.get(cloud.settings.approval, "each"))
        given = await asyncio.to_thread(cloud.consents.grant, bound, scope) if scope else None
        if given is None:
            raise ConsentRefused("Nothing was sent.")
        return given.name


class _StaysHere(Exception):
    """The user wants a local model instead."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def _place(url: str) -> Literal["machine", "own"]:
    return "machine" if destination_of(url) == "machine" else "own"


def _done_here(finish: Finish, attempt: Attempt, redactor: Redactor | None) -> Done:
    usage = finish.usage
    cached = None
    if usage.prompt_tokens is not None and usage.prefilled_tokens is not None:
        cached = max(0, usage.prompt_tokens - usage.prefilled_tokens)
    return Done(
        finish.reason,
        attempt.place,
        attempt.name,
        attempt.model,
        restored_calls(redactor, finish.calls) if redactor else finish.calls,
        finish.broken_calls,
        usage.prompt_tokens,
        cached,
        usage.generated_tokens,
        ZERO,
        cut=finish.cut,
    )


def _done_away(arrived: Arrived, attempt: Attempt, redactor: Redactor, host: str) -> Done:
    outcome = arrived.outcome
    return Done(
        outcome.reason,
        "cloud",
        host,
        outcome.model or attempt.model,
        restored_calls(redactor, outcome.tool_calls),
        outcome.broken_calls,
        outcome.prompt_tokens,
        outcome.cached_tokens,
        outcome.generated_tokens,
        None if outcome.cost is None else Decimal(str(outcome.cost)),
        outcome.provider,
        arrived.entries,
    )


def _told(asking: _Asking, attempt: Attempt, plan: Plan) -> list[Event]:
    """What the user should know before this attempt: what went wrong before, and who answers instead."""
    error, asking_again = asking.error, asking.said
    asking.said = False
    if error is not None and not isinstance(error, ConsentRefused):
        where = attempt.model if attempt.place == "cloud" else f"{attempt.model}, here on this machine,"
        if attempt.place == "own":
            where = f"{attempt.model}, on a host of yours,"
        note = f"{error.message.rstrip('.')}. Now {where} answers."
        return [Restarted(note, _own(error)) if asking_again else Note(note, _own(error))]
    if attempt.place != "cloud" and asking.request.choice.place == "cloud":
        return [Note(_sentence(plan.reason if not asking.closed else f"nothing was sent: {asking.closed}"))]
    return []


def _cut(model: str) -> Note:
    return Note(
        f"{model} did not read all of this: its context is smaller than it says.",
        "Attach less, or give the server a larger context.",
    )


def _own(error: HearthError) -> str:
    """A remedy that still is one: not that the local model answers meanwhile, for it does."""
    return "" if "meanwhile" in error.remedy else error.remedy


def _key(attempt: Attempt) -> tuple[str, str, str]:
    return attempt.place, attempt.name, attempt.model


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _what_to_do(plan: Plan) -> str:
    too_long = any("do not fit" in one.reason for one in plan.passed)
    if too_long:
        return "Attach less, or use a model with a larger context."
    return "Start Ollama, llama.cpp, LM Studio, vLLM or TabbyAPI with a chat model, or allow the cloud (cloud.enabled)."
