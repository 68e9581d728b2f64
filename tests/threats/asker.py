"""Asks one question as a user does who consents: settings from the machine's folders, the workspace is where we are.

python -I asker.py WORDS [FILE...]        prints {"text", "host", "problem"}
"""

import asyncio
import json
import logging
import sys
from pathlib import Path

from hearth.core.exchange import Part, Placed, Request, Text, system, user
from hearth.core.origin import file_origin
from hearth.core.route import Choice
from hearth.engine import open_engine
from hearth.errors import HearthError
from hearth.settings import config_dir, data_dir, load, parse


async def yes(_proposal: object) -> str:
    return "Send"


async def ask(words: str, names: list[str]) -> dict[str, str]:
    here = Path.cwd()
    settings, _ = parse(load(config_dir())[0])
    parts = [Part((here / name).read_text("utf-8"), (file_origin(str(here), name),)) for name in names]
    request = Request("ask", (system("You help."), user(words, *parts)), 100, "t", str(here), choice=Choice("cloud"))
    found = {"text": "", "host": "", "problem": ""}
    async with open_engine(settings, data_dir=data_dir(), folders=[here]) as engine:
        await engine.gateway.probed.wait()
        try:
            async for event in engine.ask(request, yes):  # type: ignore[arg-type]
                if isinstance(event, Text):
                    found["text"] += event.text
                elif isinstance(event, Placed):
                    found["host"] = event.name
        except HearthError as error:
            found["problem"] = error.message
    return found


if __name__ == "__main__":
    logging.disable()
    print(json.dumps(asyncio.run(ask(sys.argv[1], sys.argv[2:]))))
