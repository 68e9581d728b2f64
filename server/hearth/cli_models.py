"""`hearth models`: the models that can be asked, here and in the cloud, and how to get one."""

import argparse
import asyncio
import json
from dataclasses import asdict
from typing import Any

from hearth.core.catalogue import PER_MILLION, Entry
from hearth.core.jsonlike import items, table
from hearth.core.route import best_free
from hearth.engine import Engine, open_engine
from hearth.settings import Settings, data_dir

SETTLE_S = 5.0
SHOWN_MAX = 40
"""Models of the cloud that are listed without --all."""
HOW = """To get {name} for your own machine:

  Ollama      ollama pull {name}
  LM Studio   lms get {name}
  llama.cpp   llama-server -hf {name}      (a GGUF repository, for example Qwen/Qwen2.5-Coder-1.5B-GGUF)
  embedded    download a GGUF file and name it in settings.toml:
              [[backends]]
              kind = "embedded"
              model = "/path/to/model.gguf"

Hearth fetches nothing by itself. For completion the model needs fill-in-the-middle tokens (Qwen2.5-Coder, StarCoder2,
Codestral, DeepSeek-Coder, CodeGemma, Granite); for chat any instruct model does."""


def add(commands: Any, run: Any) -> None:
    """The subcommand, for the parser."""
    command = commands.add_parser("models", help="models that can be asked, and how to get one")
    command.add_argument("action", nargs="?", choices=("list", "pull"), default="list")
    command.add_argument("name", nargs="?", default="", help="of the model to get")
    command.add_argument("--all", action="store_true", help="every model of the cloud, not only the first")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=run)


def models(options: argparse.Namespace, settings: Settings) -> tuple[int, list[str]]:
    """The exit code and the lines to print."""
    if options.action == "pull":
        return (0, HOW.format(name=options.name).splitlines()) if options.name else (2, ["Name the model to get."])
    found = asyncio.run(_found(settings))
    if options.json:
        return 0, [json.dumps(found)]
    return 0, _text(found, most=None if options.all else SHOWN_MAX)


async def _found(settings: Settings) -> dict[str, Any]:
    async with open_engine(settings, data_dir=data_dir()) as engine:
        await engine.settled(SETTLE_S)
        return {"own": _own(engine), "cloud": await _cloud(engine)}


def _own(engine: Engine) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in asdict(probe).items() if key in _PROBE_KEYS} for probe in engine.gateway.probes()
    ]


_PROBE_KEYS = ("kind", "url", "state", "model", "server", "dialect", "context_tokens", "chats", "problem", "remedy")


async def _cloud(engine: Engine) -> dict[str, Any]:
    """The list is fetched only where the cloud is switched on; the request is in the ledger like any other."""
    cloud = engine.cloud
    problem = await cloud.look()
    free = best_free(cloud.models, cloud.now)
    listed = sorted(cloud.models.entries.values(), key=lambda entry: (not entry.free, entry.id))
    ranked = sorted(listed, key=lambda entry: free.index(entry.id) if entry.id in free else len(free))
    return {
        "host": cloud.host,
        "problem": problem,
        "remedy": cloud.remedy if problem else "",
        "chosen": list(cloud.settings.models) or free,
        "models": [_row(entry) for entry in ranked],
    }


def _row(entry: Entry) -> dict[str, Any]:
    known = entry.prompt is not None and entry.completion is not None
    return {
        "id": entry.id,
        "context_tokens": entry.context_tokens,
        "free": entry.free,
        "prompt_usd_per_million": float((entry.prompt or 0) * PER_MILLION) if known else None,
        "completion_usd_per_million": float((entry.completion or 0) * PER_MILLION) if known else None,
        "keeps_nothing": entry.private,
        "tools": "tools" in entry.parameters,
    }


def _text(found: dict[str, Any], most: int | None) -> list[str]:
    lines = ["Your own servers:"]
    own = [table(one) for one in items(found["own"])]
    for one in own:
        roles = [role for role, able in (("completion", one["dialect"]), ("chat", one["chats"])) if able]
        said = ", ".join((*roles, f"{one['context_tokens']} tokens")) if one["state"] == "ready" else one["problem"]
        lines.append(f"  {one['model'] or '(no model)'}  {one['kind']} {one['url']}  {said}")
    if not own:
        lines.append("  none answers; `hearth models pull NAME` tells how to get one")
    cloud = table(found["cloud"])
    lines.append(f"In the cloud ({cloud['host']}):")
    if cloud["problem"]:
        lines.append(f"  {cloud['problem']}. {cloud['remedy']}")
    rows = [table(one) for one in items(cloud["models"])]
    for one in rows[:most]:
        price = "free" if one["free"] else _price(one)
        kept = "" if one["keeps_nothing"] else ", no provider promises to keep nothing"
        lines.append(f"  {one['id']}  {one['context_tokens']} tokens, {price}{kept}")
    if most is not None and len(rows) > most:
        lines.append(f"  and {len(rows) - most} more: `hearth models list --all`")
    return lines


def _price(row: dict[str, Any]) -> str:
    if row["prompt_usd_per_million"] is None:
        return "its price is not known, so it is never asked"
    prompt, completion = row["prompt_usd_per_million"], row["completion_usd_per_million"]
    return f"${prompt:g} / ${completion:g} a million tokens read / written"
