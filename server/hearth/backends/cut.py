"""Whether a server read all that it was given. Pure.

Some servers leave out the middle of a prompt that is too long for them, or a chat's oldest messages, and say nothing.
What gives them away is the number of tokens that they count.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hearth.backends.base import Usage

CUT_TOKENS_MIN = 256
"""Shorter prompts are not looked at: nobody cuts them."""
_WORDS = re.compile("(?<![A-Za-z\x80-\U0010ffff])[A-Za-z]++(?![\x80-\U0010ffff])")


def least_tokens(text: str) -> int:
    """Fewer tokens than this no usual tokenizer makes of `text`.

    They split a text into words before anything is merged, and never join a word with the next one: each run of ASCII
    letters is at least one token. Punctuation, digits, line ends and words with other letters, which cost tokens as
    well, are left out, so that a tokenizer which knows long runs of them does not look like a cut.
    """
    return sum(1 for _ in _WORDS.finditer(text))


def was_cut(messages: Iterable[Mapping[str, Any]], usage: Usage) -> bool:
    """Whether the server is seen to have read less than these messages (in OpenAI's wire form).

    True is as good as certain; False only says that nothing is seen of it, as where the server does not count.
    """
    if usage.prompt_tokens is None:
        return False
    least = sum(least_tokens(said) for message in messages if isinstance(said := message.get("content"), str))
    return least >= CUT_TOKENS_MIN and usage.prompt_tokens < least
