"""The `hearth` command. Results go to stdout, everything else to stderr; exit codes as listed in EXIT_CODES."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from hearth import __version__, cli_ask, cli_consent, cli_models, ledger_report
from hearth.core.grammars import language_of
from hearth.core.text import Position, Snapshot
from hearth.engine import Notice, Outcome, open_engine
from hearth.errors import HearthError
from hearth.index.owner import home_of
from hearth.lsp.server import serve
from hearth.settings import Settings, config_dir, data_dir, load, parse

EXIT_CODES = {"done": 0, "failed": 1, "usage": 2, "refused": 3, "interrupted": 130}
LINES_SHOWN = 6
FILE_BYTES_MAX = 50_000_000
SETTLE_S = 5.0
"""How long a command waits for servers to be probed and the workspace to be read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return EXIT_CODES["interrupted"]
    except BrokenPipeError:
        return EXIT_CODES["done"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hearth", description="A local-first AI pair for your editor.")
    parser.add_argument("--version", action="version", version=f"hearth {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="the language server, on stdio")
    command.add_argument("--tcp", type=int, metavar="PORT", help="listen on 127.0.0.1:PORT instead, for debugging")
    command.set_defaults(run=_serve)

    command = commands.add_parser("complete", help="one completion at a position of a file")
    command.add_argument("file", type=Path)
    command.add_argument("line", type=int, help="0-based")
    command.add_argument("column", type=int, help="0-based, in UTF-16 code units, as in LSP")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=_complete)

    command = commands.add_parser("index", help="read a folder, so that suggestions and search know it")
    command.add_argument("folder", type=Path, nargs="?", default=Path())
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=_index)

    command = commands.add_parser("search", help="find code and text by words or a question")
    command.add_argument("query")
    command.add_argument("--folder", type=Path, default=Path())
    command.add_argument("--limit", type=int, default=10)
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=_search)

    command = commands.add_parser("ledger", help="what left this machine, byte for byte, and what it cost")
    command.add_argument("action", nargs="?", choices=ledger_report.ACTIONS, default="list")
    command.add_argument("number", type=int, nargs="?", metavar="N", help="of the request to show")
    command.add_argument("--file", type=Path, help="only what left of this file or folder")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=_ledger)

    cli_models.add(commands, _models)
    cli_consent.add(commands, _consent)
    cli_ask.add(commands, _ask)
    _add_task(commands)

    command = commands.add_parser("doctor", help="what was found, what is wrong, and what to do about it")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=_doctor)
    return parser


def _ask(options: argparse.Namespace) -> int:
    return cli_ask.ask(options, _settings(), _write, _note)


def _task(options: argparse.Namespace) -> int:
    return import_module("hearth.cli_task").task(options, _settings(), _write, _note)


def _write(text: str) -> None:
    print(text, end="", flush=True)


def _add_task(commands: Any) -> None:
    """Here and not in `cli_task`: its loop is loaded by whoever runs a task, and not by the server's start."""
    command = commands.add_parser("task", help="carry out a goal over several files, and prove it")
    command.add_argument("goal", nargs="?", default="")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--local", action="store_true", help="only models of your own")
    where.add_argument("--cloud", action="store_true", help="the cloud, if you agree")
    command.add_argument("--yes", action="store_true", help="agree to plan, checks, and sending within the budget")
    command.add_argument("--apply", action="store_true", help="write the changes when the task is done")
    command.add_argument("--resume", metavar="ID", default="", help="go on with a task that was broken off")
    command.add_argument("--list", action="store_true", help="the tasks that there is a record of, the newest first")
    command.add_argument("--replay", type=Path, metavar="FILE", help="play a recorded task again: nothing is done")
    command.add_argument("--redacted", type=Path, metavar="FILE", help="a recorded task without its texts, to stdout")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=_task)


def _serve(options: argparse.Namespace) -> int:
    return serve(tcp_port=options.tcp)


def _settings() -> Settings:
    raw, problems = load(config_dir())
    settings, more = parse(raw)
    for problem in (*problems, *more):
        _note(f"settings: {problem}")
    return settings


def _complete(options: argparse.Namespace) -> int:
    try:
        if options.file.stat().st_size > FILE_BYTES_MAX:
            return _fail(f"{options.file} is larger than {FILE_BYTES_MAX // 1_000_000} MB.")
        text = options.file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return _fail(f"{options.file} cannot be read: {error.strerror}.")
    except UnicodeDecodeError:
        return _fail(f"{options.file} is not UTF-8 text.")
    if min(options.line, options.column) < 0:
        _note("LINE and COLUMN count from 0.")
        return EXIT_CODES["usage"]
    path: Path = options.file.absolute()
    snapshot = Snapshot.of(text, uri=path.as_uri(), language=language_of(path.name))
    outcome = asyncio.run(_completed(_settings(), snapshot, Position(options.line, options.column)))
    suggestion = outcome.suggestions[0].text if outcome.suggestions else ""
    if options.json:
        print(json.dumps(_as_json(suggestion, outcome)))
        return EXIT_CODES["done"]
    print(suggestion)
    _note(f"{outcome.source}: {outcome.reason} ({outcome.latency_ms:.0f} ms)")
    return EXIT_CODES["done"]


async def _completed(settings: Settings, snapshot: Snapshot, position: Position) -> Outcome:
    async with open_engine(settings, data_dir=data_dir(), folders=[Path.cwd()], notify=_tell) as engine:
        engine.opened(snapshot)
        await engine.settled(SETTLE_S)
        return await engine.complete(snapshot, position, invoked=True)


def _as_json(text: str, outcome: Outcome) -> dict[str, Any]:
    usage = asdict(outcome.usage)
    return {
        "text": text,
        "source": outcome.source,
        "backend": outcome.backend,
        "model": outcome.model,
        "reason": outcome.reason,
        "latency_ms": outcome.latency_ms,
        **usage,
    }


def _index(options: argparse.Namespace) -> int:
    folder = _folder(options.folder)
    if folder is None:
        return EXIT_CODES["failed"]
    status = asyncio.run(_indexed(folder, None, 0))[0]
    if options.json:
        print(json.dumps(status))
    else:
        print(f"{status.get('files', 0)} files, {status.get('chunks', 0)} pieces, {status.get('symbols', 0)} symbols")
    if status.get("state") != "ready":
        return _fail(str(status.get("problem") or "the index could not be finished.") + " Run `hearth doctor`.")
    return EXIT_CODES["done"]


def _search(options: argparse.Namespace) -> int:
    folder = _folder(options.folder)
    if folder is None:
        return EXIT_CODES["failed"]
    if not options.query.strip() or options.limit < 1:
        _note("QUERY must not be empty, and --limit at least 1.")
        return EXIT_CODES["usage"]
    status, found = asyncio.run(_indexed(folder, options.query, options.limit))
    if options.json:
        print(json.dumps({"results": found}))
    else:
        for hit in found:
            print(f"{hit['path']}:{hit['start_line'] + 1}-{hit['end_line']}  {hit['symbol']}".rstrip())
            print("\n".join(f"    {line}" for line in hit["text"].rstrip("\n").split("\n")[:LINES_SHOWN]))
    if not found:
        _note(str(status.get("problem") or "nothing was found."))
    return EXIT_CODES["done"]


def _folder(path: Path) -> Path | None:
    if path.is_dir():
        return path.absolute()
    _note(f"{path} is not a folder.")
    return None


async def _indexed(folder: Path, query: str | None, limit: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Bring the index of a folder up to date, with progress on stderr, and search in it."""
    settings = _settings()
    async with open_engine(settings, data_dir=data_dir(), folders=[folder], notify=_tell) as engine:
        status = await engine.indexed(_progress)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        try:
            return status, [] if query is None else await engine.search(query, limit)
        except HearthError as error:
            return {"problem": f"{error.message} {error.remedy}".strip()}, []


def _progress(status: dict[str, Any]) -> None:
    if sys.stderr.isatty() and status.get("total"):
        print(f"\rhearth: {status['seen']} of {status['total']} files", end="", file=sys.stderr, flush=True)


def _models(options: argparse.Namespace) -> int:
    code, lines = cli_models.models(options, _settings())
    for line in lines:
        print(line) if not code else _note(line)
    return code


def _ledger(options: argparse.Namespace) -> int:
    folder = data_dir() / "ledger"
    return ledger_report.command(folder, options.action, options.number, options.file, options.json, print, _note)


def _consent(options: argparse.Namespace) -> int:
    return cli_consent.consent(options, data_dir(), print, _note)


def _doctor(options: argparse.Namespace) -> int:
    settings = _settings()
    if not home_of(data_dir(), os.path.realpath(Path.cwd())).exists():
        # To look must not begin to read a folder that may be no project at all.
        settings = replace(settings, index=replace(settings.index, enabled=False))
    status = asyncio.run(_status(settings))
    if options.json:
        print(json.dumps(status, indent=2))
        return EXIT_CODES["done"]
    completion = status["completion"]
    print(f"Hearth {status['version']}")
    print(f"Suggestions: {completion['model'] or 'from your workspace'} {completion['backend']}".rstrip())
    for backend in status["backends"]:
        details = [backend["state"], backend["model"], backend["server"]]
        if backend["context_tokens"]:
            details.append(f"{backend['context_tokens']} tokens of context")
        if backend["dialect"]:
            details.append(f"fills in as {backend['dialect']}")
        print(f"  {backend['kind']} {backend['url']}: {', '.join(d for d in details if d)}")
    print(f"Index: {_index_line(status['index'])}")
    free = status["disk"]["free_bytes"]
    print(f"Disk: {'unknown' if free is None else f'{free // 1_000_000} MB free'} at {status['disk']['path']}")
    print(f"GPU: {', '.join(status['gpu']) or 'none seen'}")
    for problem in status["problems"]:
        print(f"! {problem['message']} {problem['remedy']}".rstrip())
    return EXIT_CODES["done"]


def _index_line(index: dict[str, Any]) -> str:
    if index["state"] == "off":
        return str(index.get("problem") or "none of this folder; `hearth index` makes one")
    parts = [f"{index['files']} files, {index['chunks']} pieces, {index['symbols']} symbols ({index['state']})"]
    if (embedding := index["embedding"])["state"] != "off":
        parts.append(f"{embedding['embedded']} embedded with {embedding['model']}, {embedding['left']} left")
    parts += [text for text in (index["problem"], embedding["problem"]) if text]
    return "; ".join(parts)


async def _status(settings: Settings) -> dict[str, Any]:
    async with open_engine(settings, data_dir=data_dir(), folders=[Path.cwd()], notify=_tell) as engine:
        await engine.settled(SETTLE_S)
        return await engine.status()


def _tell(notice: Notice) -> None:
    _note(f"{notice.message} {notice.remedy}".rstrip())


def _fail(message: str) -> int:
    _note(message)
    return EXIT_CODES["failed"]


def _note(message: str) -> None:
    print(f"hearth: {message}", file=sys.stderr)
