"""What a server says of a request must not repeat the request: error messages are logged and shown."""

from collections.abc import Iterable

RUN_CHARS_MIN = 12
"""So much in common with what was sent is a quotation. White space and escapes do not count."""
LEFT_OUT = "[...]"


def unquoted(message: str, sent: Iterable[str]) -> str:
    """`message` without whatever it repeats of `sent`. Time grows with their product: for short messages."""
    sources = [_plain(text) for text in sent]
    plain = [_plain(char) for char in message.replace("\\n", "  ").replace('\\"', ' "').replace("\\t", "  ")]
    # Where each character of the message stands in what is compared.
    places = [at for at, char in enumerate(plain) if char]
    text = "".join(plain)
    kept: list[str] = []
    at = shown = 0
    while at < len(text):
        if len(text) - at < RUN_CHARS_MIN or not any(text[at : at + RUN_CHARS_MIN] in source for source in sources):
            at += 1
            continue
        end = at + RUN_CHARS_MIN
        while end < len(text) and any(text[at : end + 1] in source for source in sources):
            end += 1
        kept += [message[shown : places[at]], LEFT_OUT]
        shown, at = places[end - 1] + 1, end
    return "".join((*kept, message[shown:]))


def _plain(text: str) -> str:
    return "".join(text.split())
