"""What may be asked of the model that will answer, as far as its server was probed."""

from collections.abc import Sequence

from hearth.core.route import Choice
from hearth.core.task_parts import Abilities
from hearth.gateway import Server

UNKNOWN_CONTEXT_TOKENS = 4_096
OUTPUT_TOKENS_MAX = 8_192
OUTPUT_SHARE = 4
"""The answer gets one part in so many of the context."""


def abilities(servers: Sequence[Server], choice: Choice, cloud_tokens: int) -> Abilities:
    """Of the user's own model that comes first, or of one in the cloud where that was chosen or there is no other.
    `cloud_tokens`: the context there (see Cloud.context_tokens). Calls are written as text where the server is known
    not to take native ones."""
    if choice.place == "cloud" or not servers:
        return Abilities(cloud_tokens, min(OUTPUT_TOKENS_MAX, cloud_tokens // OUTPUT_SHARE))
    probe = next((one for one in servers if one.probe.model == choice.model), servers[0]).probe
    window = probe.context_tokens or UNKNOWN_CONTEXT_TOKENS
    output = min(OUTPUT_TOKENS_MAX, window // OUTPUT_SHARE)
    return Abilities(window, output, tools=probe.calls_tools is not False, schema=probe.constrains)
