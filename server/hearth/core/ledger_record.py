"""The ledger's records: what left, what came of it, and the chain that shows when one was changed.

A record is one line of ASCII: canonical JSON, a blank, the SHA-256 of that JSON, a line feed. Each names the hash of
the one before, so that none can be changed, moved, put in or taken out in between without the next one showing it. What
the chain cannot show is that its end is missing; for that the head (the last record's number, hash and place) is kept
apart.

A request is two records: the intent, before anything leaves, and the result; and a third, the bill, where what it cost
is only told later. The bytes themselves are kept beside the log under their SHA-256, which the intent carries: so the
chain covers them, the log stays small enough to be listed in one go, and what was sent can be looked at, byte for byte,
with any tool.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, cast

from hearth.core.origin import Origin, sources

VERSION = 1
GENESIS = "0" * 64
"""What the first record names as the hash of the one before."""
NOTHING_SHA256 = hashlib.sha256(b"").hexdigest()
RECORD_BYTES_MAX = 1_000_000
"""Of one line."""
MONEY_MAX = Decimal(1_000_000)
MONEY_PLACES_MAX = 24
CATALOGUE = "catalogue"
"""The kind of what is fetched without any of the user's content: the list of models, the key's state, a bill."""
NOT_SENT = "not sent"
"""The status of a request that never left."""
_HASH = re.compile(r"[0-9a-f]{64}")
_MONEY = re.compile(r"-?\d{1,7}(\.\d{1,24})?")
_ORIGIN_KINDS = frozenset({"file", "tool", "user", "summary", "product"})
_SEAL_BYTES = 65


class RecordFault(ValueError):
    """What a record would hold is too large or cannot be written down. `str()` says which."""


class BadRecord(ValueError):
    """A record that is not what was written, or not where it was. `number` counts from 1; `str()` says why."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.number = number


@dataclass(frozen=True, slots=True)
class Masked:
    """A secret that was masked before sending: by which rule, and at which byte of what was sent the mask begins."""

    rule: str
    offset: int


@dataclass(frozen=True, slots=True)
class Prices:
    """USD for one token."""

    prompt: Decimal
    completion: Decimal
    cached: Decimal
    """A prompt token that the provider had already read."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to leave. `size` and `sha256` describe the exact bytes, after masking; the ledger fills them in."""

    kind: str
    """What sort of request: chat, task, catalogue, key-status, ..."""
    host: str
    """With the port, as it will be connected to."""
    feature: str = ""
    """What asked for it: explain, fix, ask, ..."""
    reason: str = ""
    """Why it goes there instead of the local model, in words."""
    approval: str = ""
    """By what it was allowed: once, session, workspace, settings, ..."""
    target: str = ""
    """Method and path, for example `POST /api/v1/chat/completions`."""
    model: str = ""
    provider: str = ""
    masked: tuple[Masked, ...] = ()
    origins: tuple[Origin, ...] = ()
    estimated: Decimal | None = None
    """USD; None if unknown."""
    size: int = 0
    sha256: str = NOTHING_SHA256


@dataclass(frozen=True, slots=True)
class Result:
    """What came of the intent in record `intent`. Counts are None where the host did not say."""

    intent: int
    status: str
    """done, failed, cancelled, not sent, or another word."""
    detail: str = ""
    """In words, if it failed."""
    http: int | None = None
    response_sha256: str = ""
    """Of all bytes that came back; "" if none did."""
    response_bytes: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    cost: Decimal | None = None
    """USD, as the host says."""
    prices: Prices | None = None
    model: str = ""
    """The one that answered, if it said so."""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Bill:
    """What the host said later of the request of record `intent`, whose result did not know the cost (in USD)."""

    intent: int
    cost: Decimal
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    provider: str = ""

    def settled(self, result: Result) -> Result:
        """The result with what is known now."""
        return replace(
            result,
            cost=self.cost,
            prompt_tokens=_known(self.prompt_tokens, result.prompt_tokens),
            cached_tokens=_known(self.cached_tokens, result.cached_tokens),
            completion_tokens=_known(self.completion_tokens, result.completion_tokens),
            provider=self.provider or result.provider,
        )


def _known(later: int | None, before: int | None) -> int | None:
    return before if later is None else later


@dataclass(frozen=True, slots=True)
class Cut:
    """A record that was never finished, nor acknowledged, was cut off when the ledger was opened."""

    size: int
    sha256: str


What = Intent | Result | Bill | Cut
"""What a record can be of."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record in its place. `time` is ISO 8601 in UTC."""

    seq: int
    previous: str
    time: str
    what: What


@dataclass(frozen=True, slots=True)
class Head:
    """The last record: its number (0: there is none), hash, first byte in the log and the byte behind it."""

    seq: int = 0
    hash: str = GENESIS
    start: int = 0
    end: int = 0
    entries: int = 0
    """How many of the records are intents."""


@dataclass(slots=True)
class Chain:
    """Reads records in order and raises BadRecord at the first that does not belong there."""

    seq: int = 0
    hash: str = GENESIS
    end: int = 0
    entries: int = 0
    open: set[int] = field(default_factory=set[int])
    """Intents without a result so far."""
    unpriced: set[int] = field(default_factory=set[int])
    """Intents whose result did not know the cost, and which had no bill so far."""

    def feed(self, line: bytes) -> Record:
        """The next line, with its line feed."""
        number = self.seq + 1
        body = _unsealed(line, number)
        record = _decoded(body, number)
        if record.seq != number:
            raise BadRecord(number, f"record {record.seq} stands in its place")
        if record.previous != self.hash:
            raise BadRecord(number, "it does not follow the record before it")
        if isinstance(record.what, Result):
            if record.what.intent not in self.open:
                raise BadRecord(number, f"it is the result of record {record.what.intent}, which waits for none")
            self.open.remove(record.what.intent)
            if record.what.cost is None:
                self.unpriced.add(record.what.intent)
        elif isinstance(record.what, Bill):
            if record.what.intent not in self.unpriced:
                raise BadRecord(number, f"it is the bill of record {record.what.intent}, which waits for none")
            self.unpriced.remove(record.what.intent)
        elif isinstance(record.what, Intent):
            self.open.add(number)
            self.entries += 1
        self.seq, self.hash, self.end = number, hash_of(line), self.end + len(line)
        return record


def encode(record: Record) -> bytes:
    """The line of a record. Raises RecordFault, also for what could be written but not be read again."""
    what = record.what
    content: dict[str, Any] = {"seq": record.seq, "previous": record.previous, "v": VERSION, "time": record.time}
    try:
        if isinstance(what, Intent):
            content |= {"type": "intent", **_intent(what)}
        elif isinstance(what, Result):
            content |= {"type": "result", **_result(what)}
        elif isinstance(what, Bill):
            content |= {"type": "bill", **asdict(what), "cost": _money(what.cost)}
        else:
            content |= {"type": "cut", "size": what.size, "sha256": what.sha256}
        line = _sealed(content)
    except (AttributeError, TypeError, ValueError) as error:
        raise RecordFault(str(error)) from error
    if len(line) > RECORD_BYTES_MAX:
        raise RecordFault(f"{len(line)} bytes of origins and masks, where {RECORD_BYTES_MAX} fit")
    try:
        decode(line)
    except BadRecord as error:
        raise RecordFault(str(error)) from error
    return line


def decode(line: bytes, number: int = 0) -> Record:
    """The record of a line, sound in itself; whether it follows another is for Chain. Raises BadRecord."""
    return _decoded(_unsealed(line, number), number)


def hash_of(line: bytes) -> str:
    """The hash in a sound line."""
    return line[-_SEAL_BYTES:-1].decode("ascii", "replace")


def begins_record(tail: bytes, seq: int, previous: str) -> bool:
    """Whether `tail` may be the beginning of record `seq`: of one whose writing was cut short."""
    if b"\n" in tail:
        return False
    if not tail.strip(b"\0"):
        return True  # the file had grown, the content had not arrived: so a loss of power leaves it
    content = {"seq": seq, "previous": previous, "v": VERSION}
    known = json.dumps(content, separators=(",", ":")).encode("ascii")[:-1] + b","
    return tail[: len(known)] == known[: len(tail)]


def encode_head(head: Head) -> bytes:
    """The head file's content."""
    named = {"seq": head.seq, "hash": head.hash, "start": head.start, "end": head.end, "entries": head.entries}
    return _sealed(named)


def decode_head(content: bytes) -> Head:
    """The head in the head file's content. Raises BadRecord, of the number 0."""
    fields = _Fields(_unsealed(content, 0), 0)
    head = Head(
        fields.count("seq"), fields.hash("hash"), fields.count("start"), fields.count("end"), fields.count("entries")
    )
    fields.finish()
    return head


def _sealed(content: dict[str, Any]) -> bytes:
    # Escaped as ASCII, so that a line holds no line feed and names that are no Unicode can be written, too.
    body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")
    return body + b" " + hashlib.sha256(body).hexdigest().encode("ascii") + b"\n"


def _unsealed(line: bytes, number: int) -> bytes:
    if len(line) > RECORD_BYTES_MAX:
        raise BadRecord(number, "it is longer than a record can be")
    if not line.endswith(b"\n"):
        raise BadRecord(number, "it is not finished")
    body, seal = line[: -_SEAL_BYTES - 1], line[-_SEAL_BYTES - 1 : -1]
    if b"\n" in body or seal != b" " + hashlib.sha256(body).hexdigest().encode("ascii"):
        raise BadRecord(number, "its content does not match its checksum")
    return body


def _money(value: Decimal | None) -> str | None:
    if value is None:
        return None
    if not value.is_finite() or abs(value) >= MONEY_MAX:
        raise RecordFault(f"{value} is no amount of money")
    value = value.normalize()
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MONEY_PLACES_MAX:
        value = round(value, MONEY_PLACES_MAX).normalize()
    return format(value, "f")


def _intent(what: Intent) -> dict[str, Any]:
    return {
        "kind": what.kind,
        "host": what.host,
        "feature": what.feature,
        "reason": what.reason,
        "approval": what.approval,
        "target": what.target,
        "model": what.model,
        "provider": what.provider,
        "size": what.size,
        "sha256": what.sha256,
        "estimated": _money(what.estimated),
        "masked": [[masked.rule, masked.offset] for masked in what.masked],
        "origins": [[o.kind, o.folder, o.path, o.start, o.end, o.name] for o in sources(what.origins)],
    }


def _result(what: Result) -> dict[str, Any]:
    prices = what.prices
    return {
        "intent": what.intent,
        "status": what.status,
        "detail": what.detail,
        "http": what.http,
        "response_sha256": what.response_sha256,
        "response_bytes": what.response_bytes,
        "prompt_tokens": what.prompt_tokens,
        "cached_tokens": what.cached_tokens,
        "completion_tokens": what.completion_tokens,
        "cost": _money(what.cost),
        "prices": [_money(p) for p in (prices.prompt, prices.completion, prices.cached)] if prices else None,
        "model": what.model,
        "provider": what.provider,
    }


def _decoded(body: bytes, number: int) -> Record:
    fields = _Fields(body, number)
    seq, previous, version = fields.count("seq"), fields.hash("previous"), fields.count("v")
    if version != VERSION:
        raise BadRecord(number, f"it is of version {version}, not {VERSION}")
    time, kind = fields.text("time"), fields.text("type")
    if kind == "intent":
        what = _intent_of(fields)
    elif kind == "result":
        what = _result_of(fields)
    elif kind == "bill":
        what = _bill_of(fields)
    elif kind == "cut":
        what = Cut(fields.count("size"), fields.hash("sha256"))
    else:
        raise BadRecord(number, f"there is no type of record named {kind[:20]!r}")
    fields.finish()
    return Record(seq, previous, time, what)


def _intent_of(fields: "_Fields") -> Intent:
    return Intent(
        kind=fields.text("kind"),
        host=fields.text("host"),
        feature=fields.text("feature"),
        reason=fields.text("reason"),
        approval=fields.text("approval"),
        target=fields.text("target"),
        model=fields.text("model"),
        provider=fields.text("provider"),
        size=fields.count("size"),
        sha256=fields.hash("sha256"),
        estimated=fields.money("estimated"),
        masked=tuple(fields.masked()),
        origins=tuple(fields.origins()),
    )


def _result_of(fields: "_Fields") -> Result:
    return Result(
        fields.count("intent"),
        fields.text("status"),
        fields.text("detail"),
        http=fields.count_or_none("http"),
        response_sha256=fields.text("response_sha256"),
        response_bytes=fields.count_or_none("response_bytes"),
        prompt_tokens=fields.count_or_none("prompt_tokens"),
        cached_tokens=fields.count_or_none("cached_tokens"),
        completion_tokens=fields.count_or_none("completion_tokens"),
        cost=fields.money("cost"),
        prices=fields.prices(),
        model=fields.text("model"),
        provider=fields.text("provider"),
    )


def _bill_of(fields: "_Fields") -> Bill:
    return Bill(
        fields.count("intent"),
        fields.amount("cost"),
        fields.count_or_none("prompt_tokens"),
        fields.count_or_none("cached_tokens"),
        fields.count_or_none("completion_tokens"),
        fields.text("provider"),
    )


class _Fields:
    """The fields of a record, each taken once and of its type; BadRecord otherwise."""

    def __init__(self, body: bytes, number: int) -> None:
        self._number = number
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            self._bad("it is not JSON")
        if not isinstance(content, dict):
            self._bad("it is not an object")
        self._content = cast(dict[str, Any], content)

    def finish(self) -> None:
        """Nothing may be left."""
        if self._content:
            self._bad(f"it has a field too many: {min(self._content)[:40]!r}")

    def text(self, name: str) -> str:
        value = self._content.pop(name, None)
        return value if isinstance(value, str) else self._bad(f"`{name}` is not text")

    def hash(self, name: str) -> str:
        value = self.text(name)
        return value if _HASH.fullmatch(value) else self._bad(f"`{name}` is not a hash")

    def count(self, name: str) -> int:
        value = self.count_or_none(name)
        return self._bad(f"`{name}` is missing") if value is None else value

    def count_or_none(self, name: str) -> int | None:
        value = self._content.pop(name, None)
        if value is None or (type(value) is int and value >= 0):
            return value
        self._bad(f"`{name}` is not a count")

    def money(self, name: str) -> Decimal | None:
        return self._amount(self._content.pop(name, None), name)

    def amount(self, name: str) -> Decimal:
        value = self.money(name)
        return self._bad(f"`{name}` is missing") if value is None else value

    def prices(self) -> Prices | None:
        value = self._content.pop("prices", None)
        if value is None:
            return None
        amounts = [self._amount(each, "prices") for each in self._list(value, "prices")]
        known = [amount for amount in amounts if amount is not None]
        return Prices(*known) if len(known) == len(amounts) == 3 else self._bad("`prices` are not three")

    def masked(self) -> Iterator[Masked]:
        for each in self._rows("masked", (str, int)):
            yield Masked(*each)

    def origins(self) -> Iterator[Origin]:
        for kind, folder, path, start, end, name in self._rows("origins", (str, str, str, int, int, str)):
            if kind not in _ORIGIN_KINDS:
                self._bad("`origins` have an unknown kind")
            yield Origin(kind, path, folder, start, end, (), name)

    def _rows(self, name: str, types: tuple[type, ...]) -> Iterable[list[Any]]:
        for row in self._list(self._content.pop(name, None), name):
            values = self._list(row, name)
            if len(values) != len(types) or any(type(v) is not t for v, t in zip(values, types, strict=True)):
                self._bad(f"`{name}` are not what they should be")
            yield values

    def _list(self, value: object, name: str) -> list[Any]:
        return cast(list[Any], value) if isinstance(value, list) else self._bad(f"`{name}` is not a list")

    def _amount(self, value: object, name: str) -> Decimal | None:
        if value is None:
            return None
        if not isinstance(value, str) or not _MONEY.fullmatch(value):
            self._bad(f"`{name}` is no amount of money")
        try:
            return Decimal(value)
        except InvalidOperation:
            self._bad(f"`{name}` is no amount of money")

    def _bad(self, why: str) -> NoReturn:
        raise BadRecord(self._number, why)
