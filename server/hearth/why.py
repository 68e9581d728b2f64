"""The page "Why no suggestion?": one row for each of the last requests, newest first."""

from collections.abc import Iterable
from urllib.parse import unquote

from hearth.backends.base import Usage
from hearth.complete import Traced

HEADINGS = ("where", "from", "decision", "gate", "model", "tokens: prompt / read / written", "ms: own + model")
"""`gate`: "silent", or how much was to be suggested; empty where the request did not come that far. `model`: whether
it was asked, or a generation joined that was on its way. Tokens are what the server had told by then."""


def page(source: str, trace: Iterable[Traced]) -> str:
    """Markdown. `source`: a sentence on where suggestions come from; `trace`: oldest first."""
    lines = ["# Why no suggestion?", "", source, "", _row(HEADINGS), "|---" * len(HEADINGS) + "|"]
    lines += [_row(_cells(traced)) for traced in reversed(list(trace))]
    return "\n".join(lines) + "\n"


def _cells(traced: Traced) -> tuple[str, ...]:
    outcome, steps, where = traced.outcome, traced.steps, traced.position
    asked = bool(steps.model)
    return (
        f"{unquote(traced.uri.rpartition('/')[2])}:{where.line + 1}:{where.character + 1}",
        outcome.source,
        outcome.reason,
        steps.gate,
        f"{steps.model} {outcome.model}".strip(),
        _tokens(outcome.usage) if asked and outcome.model else "",
        f"{steps.own_ms:.1f} + {max(0.0, outcome.latency_ms - steps.own_ms):.0f}"
        if asked
        else f"{outcome.latency_ms:.1f}",
    )


def _tokens(usage: Usage) -> str:
    counts = (usage.prompt_tokens, usage.prefilled_tokens, usage.generated_tokens)
    return " / ".join("?" if count is None else str(count) for count in counts)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
