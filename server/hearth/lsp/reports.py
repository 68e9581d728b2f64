"""Pages made of what is recorded and counted: the ledger, single requests, the status. Blocks where files are read."""

import json
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

from hearth.errors import HearthError
from hearth.ledger_reading import Entry, entries, sent
from hearth.ledger_report import SUBSCRIPTIONS, Costs, Sum, costs, money, page, row
from hearth.lsp.markdown import fenced, plain, tabled
from hearth.lsp.messages import say
from hearth.uris import path_of

EGRESS = "hearth:/egress.md"
EGRESS_ONE = "hearth:/egress/"
EGRESS_OF = "hearth:/egress/of"
STATUS = "hearth:/status.md"
ROWS_MAX = 200
BODY_CHARS_MAX = 2_000_000
DAYS_MAX = 31
BACKENDS_MAX = 32


def egress_uri(document: str = "") -> str:
    """The ledger's page; with what left of a document at its top."""
    path = path_of(document)
    return f"{EGRESS_OF}/{quote(path.as_posix().lstrip('/'))}.md" if path else EGRESS


def egress(uri: str, folder: Path, language: str) -> str | None:
    """The page of a URI made here; None for another's, or a request that does not exist. Raises LedgerError."""
    name = unquote(uri)
    if name == EGRESS:
        return _list(entries(folder), None, language)
    if name.startswith(EGRESS_OF):
        of = name.removeprefix(EGRESS_OF).removesuffix(".md")
        return _list(entries(folder), Path(of.lstrip("/") if os.name == "nt" else of), language)
    if name.startswith(EGRESS_ONE):
        number = name.removeprefix(EGRESS_ONE).removesuffix(".md")
        entry = next((one for one in entries(folder) if str(one.seq) == number), None)
        return None if entry is None else _one(entry, sent(folder, entry), language)
    return None


def _list(known: Sequence[Entry], path: Path | None, language: str) -> str:
    """Lines rather than a table: they stay readable as text, where the numbers are links."""
    lines = [f"# {say('egress_title', language)}", ""]
    if path is not None:
        of_file = [entry for entry in known if entry.parts_of(path)]
        lines += [f"## {say('egress_of_file', language, file=plain(path.name))}", ""]
        lines += _rows(of_file, language) if of_file else [say("egress_none_of_file", language, file=plain(path.name))]
        lines += ["", f"## {say('egress_all', language)}", ""]
    lines += _rows(known, language) if known else [say("egress_none", language)]
    lines += ["", say("egress_more", language), ""]
    return "\n".join(lines)


def _rows(known: Sequence[Entry], language: str) -> list[str]:
    lines: list[str] = []
    day = ""
    for entry in known[: -ROWS_MAX - 1 : -1]:
        if entry.time[:10] != day:
            day = entry.time[:10]
            lines += [f"### {day}", ""] if not lines else ["", f"### {day}", ""]
        cost = entry.result.cost if entry.result else None
        tokens = row(entry)["tokens"]
        what = ", ".join(origin.label for origin in entry.intent.origins if origin.path) or entry.intent.kind
        facts = [
            f"{entry.intent.size:,} bytes",
            "" if tokens is None else say("egress_tokens", language, count=f"{tokens:,}"),
            "" if cost is None else f"{money(cost)} USD",
            plain(entry.status),
        ]
        to = plain(" @ ".join(filter(None, (entry.model, entry.intent.host))))
        lines.append(f"- #{entry.seq} {entry.time[11:19]} {plain(what)} → {to} ({', '.join(filter(None, facts))})")
    if len(known) > ROWS_MAX:
        lines += ["", say("egress_older", language, count=len(known) - ROWS_MAX)]
    return lines


def _one(entry: Entry, body: bytes, language: str) -> str:
    facts = page(entry, b"")
    lines = [f"# {say('egress_request', language, number=entry.seq)}", "", fenced("\n".join(facts)), ""]
    for role, text in _messages(body):
        lines += [f"## {plain(role)}", "", fenced(text[:BODY_CHARS_MAX]), ""]
    if body:
        exact = body.decode("utf-8", "replace")
        lines += [f"## {say('egress_exact', language)}", "", fenced(exact[:BODY_CHARS_MAX]), ""]
        if len(exact) > BODY_CHARS_MAX:
            lines += [say("egress_cut", language, number=entry.seq), ""]
    return "\n".join(lines)


def _messages(body: bytes) -> list[tuple[str, str]]:
    """Role and text of each message of a chat request, to be read; the exact bytes stand below them."""
    try:
        found: Any = json.loads(body) if body else {}
    except ValueError:
        return []
    messages: Any = cast(dict[str, Any], found).get("messages") if isinstance(found, dict) else None
    read: list[tuple[str, str]] = []
    for message in cast(list[Any], messages) if isinstance(messages, list) else []:
        fields = cast(dict[str, Any], message) if isinstance(message, dict) else {}
        content: Any = fields.get("content")
        if isinstance(content, list):  # in parts, as caching hints need it
            content = "".join(str(cast(dict[str, Any], part).get("text", "")) for part in cast(list[Any], content))
        if isinstance(content, str):
            read.append((str(fields.get("role", "")), content))
    return read


def spent(folder: Path) -> Costs | str:
    """What was spent; or a sentence, why nobody knows."""
    try:
        return costs(entries(folder))
    except HearthError as error:
        return error.message


def status_page(found: Mapping[str, Any], sums: Costs | str, language: str) -> str:
    """What answers, what is wrong, what was counted, and what it cost."""
    lines = [f"# {say('status_title', language)}", "", *_answering(found, language)]
    problems = cast(list[dict[str, str]], found.get("problems") or [])
    if problems:
        lines += ["", f"## {say('status_problems', language)}", ""]
        lines += [f"- **{plain(one.get('message', ''))}** {plain(one.get('remedy', ''))}" for one in problems]
    lines += ["", f"## {say('status_servers', language)}", "", *_servers(found, language)]
    lines += ["", f"## {say('status_counted', language)}", "", *_counted(found, language)]
    lines += ["", f"## {say('status_costs', language)}", "", *_costs(sums, language)]
    exact = json.dumps(found, indent=2, ensure_ascii=False)
    return "\n".join([*lines, "", f"## {say('status_all', language)}", "", fenced(exact, "json"), ""])


def _answering(found: Mapping[str, Any], language: str) -> list[str]:
    completion = cast(dict[str, Any], found.get("completion") or {})
    index = cast(dict[str, Any], found.get("index") or {})
    model = str(completion.get("model") or "").replace("\\", "/").rpartition("/")[2]
    answer = f"**{plain(model)}** ({plain(str(completion.get('backend', '')))})" if model else (
        plain(str(completion.get("why") or "-"))
    )  # fmt: skip
    state = plain(str(index.get("state", "-")))
    files = f", {index['files']:,}" if isinstance(index.get("files"), int) else ""
    return [f"- {say('status_completion', language)}: {answer}", f"- {say('status_index', language)}: {state}{files}"]


def _servers(found: Mapping[str, Any], language: str) -> list[str]:
    backends = cast(list[dict[str, Any]], found.get("backends") or [])[:BACKENDS_MAX]
    if not backends:
        return [say("status_no_server", language)]
    rows = [
        [plain(str(one.get(key) or "")) for key in ("name", "state", "model", "url", "problem")] for one in backends
    ]
    return tabled(say("status_servers_head", language).split("|"), rows)


def _counted(found: Mapping[str, Any], language: str) -> list[str]:
    counts = cast(dict[str, Any], found.get("completions") or {})
    tokens = cast(dict[str, Any], found.get("tokens") or {})
    known = ("requests", "accepted", "memory_hits", "joined", "model_calls", "cancelled")
    rows = [[key.replace("_", " "), f"{counts[key]:,}"] for key in known if isinstance(counts.get(key), int)]
    rows += [[f"tokens: {key}", f"{value:,}"] for key, value in tokens.items() if isinstance(value, int)]
    if not rows:
        return ["-"]
    saved = int(tokens.get("prompt") or 0) - int(tokens.get("prefilled") or 0)
    share = f" ({100 * saved / tokens['prompt']:.0f} %)" if tokens.get("prompt") else ""
    return [*tabled(["", ""], rows, right=(1,)), "", say("status_prefix", language, saved=f"{saved:,}", share=share)]


def _costs(sums: Costs | str, language: str) -> list[str]:
    if isinstance(sums, str):
        return [plain(sums)]
    total = sums.total
    if not total.requests:
        return [say("costs_none", language), "", _subscriptions(Decimal(0), language)]
    lines: list[str] = []
    heads = say("costs_heads", language).split("|")
    groups = (sums.days, sums.models, sums.features)
    for title, group in zip(heads, groups, strict=True):
        rows = [_sum_row(name, each) for name, each in list(group.items())[-DAYS_MAX:]]
        lines += [*tabled([title, *say("costs_columns", language).split("|")], rows, right=range(1, 7)), ""]
    lines.append(say("costs_total", language, cost=money(total.cost), requests=total.requests))
    if total.forecast:
        lines.append(say("costs_unknown", language, cost=money(total.forecast)))
    lines += [say("costs_cache", language, cost=money(total.saved_by_cache)), ""]
    return [*lines, _subscriptions(list(sums.months.values())[-1].cost, language)]


def _sum_row(name: str, each: Sum) -> list[str]:
    counts = (each.requests, each.sent_bytes, each.prompt_tokens, each.cached_tokens, each.completion_tokens)
    return [plain(name), *(f"{count:,}" for count in counts), money(each.cost)]


def _subscriptions(month: Decimal, language: str) -> str:
    others = ", ".join(f"{each.name} {money(each.price)}" for each in SUBSCRIPTIONS)
    return say("costs_subscriptions", language, month=money(month), others=others)
