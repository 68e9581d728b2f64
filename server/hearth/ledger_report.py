"""`hearth ledger`: what left the machine, in words, tables and JSON; and what it cost."""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from hearth.core.ledger_record import NOT_SENT
from hearth.errors import HearthError
from hearth.ledger_reading import Entry, Finding, entries, sent, verify

ACTIONS = ("list", "show", "verify", "export", "costs")
DONE, FAILED, USAGE = 0, 1, 2
Say = Callable[[str], None]
_SHOWN = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"},
    **dict.fromkeys(range(0x7F, 0xA0), 0xFFFD),
}


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an assistant costs for one person and month, whether it is used or not; USD, before tax."""

    name: str
    price: Decimal


SUBSCRIPTIONS = (
    Subscription("GitHub Copilot Pro", Decimal(10)),
    Subscription("Cursor Pro", Decimal(20)),
    Subscription("Claude Pro", Decimal(20)),
    Subscription("ChatGPT Plus", Decimal(20)),
    Subscription("Claude Max", Decimal(100)),
    Subscription("Cursor Ultra", Decimal(200)),
)
"""List prices of 2025, to compare with. They change; nothing but this comparison depends on them."""


@dataclass(slots=True)
class Sum:
    """What a group of requests amounts to; money in USD."""

    requests: int = 0
    sent_bytes: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal = Decimal(0)
    """As the hosts said."""
    forecast: Decimal = Decimal(0)
    """Of those of which no cost is known."""
    saved_by_cache: Decimal = Decimal(0)

    def add(self, entry: Entry) -> None:
        """Count a request in."""
        result = entry.result
        if entry.status == NOT_SENT:
            return
        self.requests += 1
        self.sent_bytes += entry.intent.size
        if result is None or result.cost is None:
            self.forecast += entry.intent.estimated or 0
        if result is None:
            return
        self.prompt_tokens += result.prompt_tokens or 0
        self.cached_tokens += result.cached_tokens or 0
        self.completion_tokens += result.completion_tokens or 0
        self.cost += result.cost or 0
        if result.prices and result.cached_tokens:
            self.saved_by_cache += result.cached_tokens * (result.prices.prompt - result.prices.cached)

    def as_json(self) -> dict[str, Any]:
        """With money as numbers."""
        return {name: float(v) if isinstance(v, Decimal) else v for name, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Costs:
    """Sums over all, and by what the requests have in common."""

    total: Sum
    days: dict[str, Sum]
    months: dict[str, Sum]
    models: dict[str, Sum]
    features: dict[str, Sum]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "currency": "USD",
            "total": self.total.as_json(),
            "days": [{"day": name, **each.as_json()} for name, each in self.days.items()],
            "models": [{"model": name, **each.as_json()} for name, each in self.models.items()],
            "features": [{"feature": name, **each.as_json()} for name, each in self.features.items()],
            "months": [{"month": name, **each.as_json(), **_compared(each)} for name, each in self.months.items()],
        }


def command(
    folder: Path, action: str, number: int | None, file: Path | None, as_json: bool, say: Say, note: Say
) -> int:
    """Run `hearth ledger ACTION`: results go to `say`, line by line, notes to `note`. The exit code."""
    if (action == "show") != (number is not None):
        note("`hearth ledger show N` shows the request with the number N of `hearth ledger list`.")
        return USAGE
    try:
        if action == "verify":
            return _verified(verify(folder), as_json, say, note)
        known = entries(folder)
        if file is not None:
            known = [entry for entry in known if entry.parts_of(file)]
        if action == "show":
            return _shown(folder, known, number or 0, as_json, say, note)
        if action == "export":
            for entry in known:
                say(json.dumps(whole(entry, sent(folder, entry))))
        elif action == "costs":
            sums = costs(known)
            say(json.dumps(sums.as_json())) if as_json else _each(costs_text(sums), say)
        elif as_json:
            say(json.dumps({"entries": [row(entry) for entry in known]}))
        else:
            _each(table(known), say)
    except HearthError as error:
        note(f"{error.message} {error.remedy}".rstrip())
        return FAILED
    return DONE


def row(entry: Entry) -> dict[str, Any]:
    """An entry of `hearth ledger list --json`; null for what is not known."""
    result = entry.result
    cost = result.cost if result else None
    return {
        "seq": entry.seq,
        "time": entry.time,
        "kind": entry.intent.kind,
        "host": entry.intent.host,
        "model": entry.model,
        "bytes": entry.intent.size,
        "tokens": _tokens(entry),
        "cost": None if cost is None else float(cost),
        "status": entry.status,
    }


def table(known: Sequence[Entry]) -> list[str]:
    """The same for people, one line for each."""
    if not known:
        return ["Nothing has left this machine."]
    rows = [("", "time (UTC)", "kind", "host", "model", "bytes", "tokens", "USD", "status")]
    for entry in known:
        cells = row(entry)
        cost = entry.result.cost if entry.result else None
        rows.append(
            (
                str(entry.seq), entry.time[:19].replace("T", " "), entry.intent.kind, entry.intent.host,
                entry.model or "-", str(entry.intent.size), "-" if cells["tokens"] is None else str(cells["tokens"]),
                "-" if cost is None else money(cost), entry.status,
            )
        )  # fmt: skip
    return _aligned(rows, right={0, 5, 6, 7})


def whole(entry: Entry, body: bytes) -> dict[str, Any]:
    """Everything that is known of a request, the bytes included; money as text, exact."""
    intent = asdict(entry.intent)
    intent["origins"] = [
        {"kind": o.kind, "folder": o.folder, "path": o.path, "start": o.start, "end": o.end, "name": o.name}
        for o in entry.intent.origins
    ]
    try:
        content = {"body": body.decode("utf-8")}
    except UnicodeDecodeError:
        content = {"body_base64": base64.b64encode(body).decode("ascii")}
    result = _plain(asdict(entry.result)) if entry.result else None
    return {
        "seq": entry.seq, "time": entry.time, "status": entry.status, "ended": entry.ended or None,
        "intent": _plain(intent), "result": result, **content,
    }  # fmt: skip


def page(entry: Entry, body: bytes) -> list[str]:
    """A request for people: who, why, what was masked, what came of it, and the bytes."""
    intent, result = entry.intent, entry.result
    masks = ", ".join(f"{mask.rule} at byte {mask.offset}" for mask in intent.masked)
    facts = [
        ("Request", f"{entry.seq}, {entry.time}"),
        ("What for", " ".join(filter(None, (intent.kind, intent.feature and f"({intent.feature})")))),
        ("To", " ".join(filter(None, (intent.host, intent.target)))),
        ("Model", " by ".join(filter(None, (entry.model, (result and result.provider) or intent.provider)))),
        ("Why there", intent.reason),
        ("Allowed by", intent.approval),
        ("From", "; ".join(origin.label for origin in intent.origins)),
        ("Masked", masks or "nothing"),
        ("Forecast", "" if intent.estimated is None else f"{money(intent.estimated)} USD"),
        ("Status", " ".join(filter(None, (entry.status, result and result.detail and f"({result.detail})")))),
    ]
    if result:
        tokens = f"{result.prompt_tokens or 0} read ({result.cached_tokens or 0} cached), " + (
            f"{result.completion_tokens or 0} written"
        )
        facts += [
            ("HTTP", "" if result.http is None else str(result.http)),
            ("Tokens", "" if _tokens(entry) is None else tokens),
            ("Cost", "" if result.cost is None else f"{money(result.cost)} USD"),
            ("Answer", result.response_sha256 and f"{result.response_bytes or 0} bytes, {result.response_sha256}"),
        ]
    facts.append(("Sent", f"{intent.size} bytes, {intent.sha256}"))
    lines = [f"{name + ':':<11} {value}" for name, value in facts if value]
    # What was sent may hold anything; a terminal obeys control characters.
    return [*lines, "", body.decode("utf-8", "replace").translate(_SHOWN)] if body else lines


def costs(known: Iterable[Entry]) -> Costs:
    """Add up requests."""
    sums = Costs(Sum(), {}, {}, {}, {})
    for entry in known:
        if entry.status == NOT_SENT:
            continue
        sums.total.add(entry)
        groups = (
            (sums.days, entry.time[:10]),
            (sums.months, entry.time[:7]),
            (sums.models, entry.model or "-"),
            (sums.features, entry.intent.feature or entry.intent.kind),
        )
        for group, name in groups:
            group.setdefault(name, Sum()).add(entry)
    return sums


def costs_text(sums: Costs) -> list[str]:
    """The same for people."""
    total = sums.total
    if not total.requests:
        return ["Nothing has left this machine, so nothing was spent."]
    lines: list[str] = []
    for title, group in (("day", sums.days), ("model", sums.models), ("feature", sums.features)):
        rows: list[tuple[str, ...]] = [(title, "requests", "bytes", "read", "cached", "written", "USD")]
        for name, each in group.items():
            counts = (each.requests, each.sent_bytes, each.prompt_tokens, each.cached_tokens, each.completion_tokens)
            rows.append((name, *map(str, counts), money(each.cost)))
        lines += [*_aligned(rows, right={1, 2, 3, 4, 5, 6}), ""]
    lines.append(f"In all {money(total.cost)} USD for {total.requests} requests.")
    if total.forecast:
        lines.append(f"Of some no cost is known; the forecast for these was {money(total.forecast)} USD.")
    lines.append(f"Prefix caching saved {money(total.saved_by_cache)} USD.")
    lines += [f"{month}: {money(each.cost)} USD." for month, each in sums.months.items()]
    others = ", ".join(f"{each.name} {money(each.price)}" for each in SUBSCRIPTIONS)
    return [*lines, f"A month by subscription instead, at list prices of 2025 before tax, in USD: {others}."]


def money(amount: Decimal) -> str:
    """With at least two places, and as many as it takes up to six."""
    text = format(round(amount, 6).normalize(), "f")
    units, _, places = text.partition(".")
    return f"{units}.{places:0<2}"


def _compared(spent: Sum) -> dict[str, Any]:
    """A month against subscriptions."""
    return {
        "subscriptions": [
            {"name": each.name, "price": float(each.price), "difference": float(each.price - spent.cost)}
            for each in SUBSCRIPTIONS
        ]
    }


def _verified(finding: Finding, as_json: bool, say: Say, note: Say) -> int:
    if as_json:
        found = {"whole": finding.whole, "first_bad": None if finding.whole else finding.bad}
        counts = {"records": finding.records, "requests": finding.entries, "hash": finding.hash}
        say(json.dumps({**found, **counts, "message": finding.sentence}))
    elif finding.whole:
        say(finding.sentence)
    if not finding.whole:
        note(finding.sentence)
    return DONE if finding.whole else FAILED


def _shown(folder: Path, known: Sequence[Entry], number: int, as_json: bool, say: Say, note: Say) -> int:
    entry = next((entry for entry in known if entry.seq == number), None)
    if entry is None:
        note(f"There is no request {number} in the ledger.")
        return FAILED
    body = sent(folder, entry)
    say(json.dumps(whole(entry, body))) if as_json else _each(page(entry, body), say)
    return DONE


def _tokens(entry: Entry) -> int | None:
    result = entry.result
    if result is None or (result.prompt_tokens is None and result.completion_tokens is None):
        return None
    return (result.prompt_tokens or 0) + (result.completion_tokens or 0)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """With money as text, as it stands in the record."""
    return {
        name: format(value, "f")
        if isinstance(value, Decimal)
        else _plain(cast(dict[str, Any], value))
        if isinstance(value, dict)
        else value
        for name, value in fields.items()
    }


def _aligned(rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(widths[at]) if at in right else cell.ljust(widths[at]) for at, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def _each(lines: Iterable[str], say: Say) -> None:
    for line in lines:
        say(line)
