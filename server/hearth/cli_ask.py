"""`hearth ask`: one question from the terminal, to the same models under the same policy as in the editor.

The answer goes to stdout, everything else to stderr. Consent is asked on stderr and read from a terminal; `--yes` gives
it within the budget; without either nothing is sent.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

from hearth.core.approval import Answer
from hearth.core.budget import money
from hearth.core.chat import Command
from hearth.core.chat_page import PLACES, figures
from hearth.core.conversation import Conversation
from hearth.core.exchange import Note, Placed, Restarted, Text
from hearth.core.invisible import cleaned
from hearth.core.mentions import parse
from hearth.core.proposal import Proposal, masks, price, what
from hearth.core.route import Choice
from hearth.engine import Engine, Notice, open_engine
from hearth.errors import ConsentRefused, EgressDenied, HearthError, NobodyAnswers, NotAffordable
from hearth.settings import Settings, data_dir

DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 3
QUESTION_CHARS_MAX = 200_000
SEARCHING = frozenset(("codebase", "symbol"))
Say = Callable[[str], None]


def add(commands: Any, run: Any) -> None:
    """The subcommand, for the parser."""
    command = commands.add_parser(
        "ask",
        help="ask a model a question",
        description="@file:PATH, @folder:PATH, @symbol:NAME, @codebase, @diagnostics, @git and @web in the question "
        "attach something.",
    )
    command.add_argument("question")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--local", action="store_true", help="only models of your own")
    where.add_argument("--cloud", action="store_true", help="the cloud, if you agree")
    command.add_argument("--yes", action="store_true", help="agree to send what is needed, within the budget")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=run)


def ask(options: argparse.Namespace, settings: Settings, out: Say, note: Say) -> int:
    """Answer a question; the exit code. `out` writes to stdout as it is, `note` a line to stderr."""
    question = str(options.question)
    if not question.strip():
        note("QUESTION must not be empty.")
        return USAGE
    if len(question) > QUESTION_CHARS_MAX:
        note(f"QUESTION is longer than {QUESTION_CHARS_MAX} characters; attach files with @file:PATH instead.")
        return USAGE
    choice = Choice("local" if options.local else "cloud" if options.cloud else "auto")
    return asyncio.run(_Asking(question, choice, settings, options.yes, options.json, out, note).run())


class _Asking:
    """One question. `streams`: whether the answer is shown as it comes: on a terminal, where one sees that it began
    anew. Elsewhere it is written when it is whole."""

    def __init__(
        self, question: str, choice: Choice, settings: Settings, yes: bool, as_json: bool, out: Say, note: Say
    ) -> None:
        self._question = question
        self._choice = choice
        self._settings = settings
        self._yes = yes
        self._json = as_json
        self._out = out
        self._note = note
        self._terminal = sys.stdout.isatty()
        self._streams = self._terminal and not as_json
        self._notes: list[str] = []
        self._held: list[Notice] = []
        """What the engine said before it is known who answers: an error may say it again."""

    async def run(self) -> int:
        folder = Path.cwd()
        async with open_engine(self._settings, data_dir=data_dir(), folders=[folder], notify=self._tell) as engine:
            engine.consent = self._consent
            await self._settled(engine)
            try:
                return await self._answer(engine)
            except (ConsentRefused, EgressDenied, NotAffordable) as error:
                return self._failed(error, REFUSED)
            except NobodyAnswers as error:
                closed = self._choice.place == "cloud" and not self._settings.cloud.enabled
                return self._failed(error, REFUSED if closed else FAILED)
            except HearthError as error:
                return self._failed(error, FAILED)

    async def _settled(self, engine: Engine) -> None:
        """Wait for servers to be found and loaded, and for the index where the question needs it."""
        await engine.answerable()
        if any(one.kind in SEARCHING for one in parse(self._question).mentions):
            await engine.indexed()

    async def _answer(self, engine: Engine) -> int:
        talk = await engine.chats.start(Command("ask", prompt=self._question, choice=self._choice))
        for flag in talk.last.flags:
            self._say(flag)
        async with aclosing(engine.chats.run(talk.id)) as updates:
            async for update in updates:
                self._let_go()
                match update:
                    case Placed():
                        self._say(f"{update.model}, {PLACES[update.place]}: {update.reason}")
                    case Note():
                        self._say(sentences(update.text, update.remedy))
                    case Restarted():
                        if self._streams:
                            self._out("\n\n")
                        self._say(sentences(update.note, update.remedy))
                    case Text():
                        if self._streams:
                            self._out(visible(update.text))
                    case _:
                        pass
        self._finish(talk)
        return DONE

    def _finish(self, talk: Conversation) -> None:
        self._let_go()
        answer = talk.last.answer
        if self._json:
            self._out(json.dumps(self._as_json(talk)) + "\n")
        elif self._streams:
            self._out("\n")
        else:
            text = visible(answer.text) if self._terminal else answer.text
            self._out(text if text.endswith("\n") else text + "\n")
        left = f"; request {', '.join(map(str, answer.entries))} of the ledger" if answer.entries else ""
        if read := figures([answer]):
            self._note(f"{read}{left}")

    def _as_json(self, talk: Conversation) -> dict[str, Any]:
        answer = talk.last.answer
        return {
            "answer": answer.text,
            "model": answer.model,
            "place": answer.place,
            "backend": answer.name,
            "reason": answer.reason,
            "ending": answer.ending,
            "prompt_tokens": answer.prompt_tokens,
            "cached_tokens": answer.cached_tokens,
            "generated_tokens": answer.generated_tokens,
            "cost": None if answer.cost is None else float(answer.cost),
            "entries": list(answer.entries),
            "context": [origin.label for origin in talk.last.used],
            "notes": self._notes,
        }

    # Consent

    async def _consent(self, proposal: Proposal) -> Answer | None:
        """Asks the user, if there is one."""
        if self._yes:
            self._note(f"sending to {proposal.host} ({proposal.model}), {price(proposal)}")
            return "Send"
        if not sys.stdin.isatty():
            self._say("nothing is sent without a terminal to agree on, or --yes")
            return "Use local model"
        for line in described(proposal):
            self._note(visible(line))
        while True:
            sys.stderr.write("hearth: send it? [y/N, s to see exactly what, l for a local model] ")
            sys.stderr.flush()
            said = (await typed_line()).strip().casefold()
            if said not in ("s", "show"):
                break
            sys.stderr.write(visible(proposal.exact) + "\n")
        if said in ("y", "yes"):
            return "Send"
        return "Use local model" if said in ("l", "local") else None

    def _say(self, text: str) -> None:
        self._notes.append(text)
        self._note(visible(text))

    def _tell(self, notice: Notice) -> None:
        self._held.append(notice)

    def _let_go(self, error: HearthError | None = None) -> str:
        """Say what was held back. Of what `error` says itself only the remedies, which are returned."""
        held, self._held = self._held, []
        again = [one for one in held if error is not None and one.message.rstrip(".") in error.message]
        for one in held:
            if one not in again:
                self._say(sentences(one.message, one.remedy))
        return sentences(*dict.fromkeys(one.remedy for one in again))

    def _failed(self, error: HearthError, code: int) -> int:
        remedy = sentences(self._let_go(error), error.remedy)
        if self._json:
            self._out(json.dumps({"error": error.message, "remedy": remedy, "notes": self._notes}) + "\n")
        self._note(visible(sentences(error.message, remedy)))
        return code


def sentences(*parts: str) -> str:
    """Parts as sentences of one line; the last one may end with something to be typed, and is left as it is."""
    known = [part for part in parts if part]
    return " ".join([part if part[-1] in ".!?" else f"{part}." for part in known[:-1]] + known[-1:])


def described(proposal: Proposal) -> list[str]:
    """What the user is shown before anything leaves, line by line."""
    lines = [
        f"This would leave your machine, for {proposal.host}:",
        f"  model    {proposal.model}" + (f", else {', '.join(proposal.behind)}" if proposal.behind else ""),
        f"  why      {proposal.reason}",
        f"  what     {', '.join(what(proposal.origins)) or 'your words'}",
        f"  size     {proposal.size:,} bytes, about {proposal.tokens:,} tokens",
        f"  price    {price(proposal)}; {money(max(proposal.left, Decimal(0)))} are left today",
        f"  kept by  {proposal.retention}",
    ]
    if masked := masks(proposal.masked):
        lines.append(f"  masked   {masked}")
    return lines


def visible(text: str) -> str:
    """Text for a terminal: without what could steer it."""
    return cleaned(text.replace("\r\n", "\n").replace("\r", "\n"))[0]


async def typed_line() -> str:
    """A line from stdin, given up when cancelled; "" at its end."""
    loop = asyncio.get_running_loop()
    if os.name == "nt":
        return await asyncio.to_thread(sys.stdin.readline)
    ready: asyncio.Future[None] = loop.create_future()
    handle = sys.stdin.fileno()
    loop.add_reader(handle, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(handle)
    return os.read(handle, 4_096).decode("utf-8", "replace")
