"""LiteLLM, and nothing else of it than building one request: imported here only, in the courier's process only.

Before the import the environment says: no price map from the network, no `.env`, nothing to report to anybody. After
it, its own logging, retries and callbacks are off. It never has the key: `KEY_BELOW` stands in for it, and our
transport puts the real one on the request. How an answer ended is not its word either, since it reports broken streams
as complete: our transport reads the answer, and the library's own reading of it is let run to its end.
"""

import importlib
import logging
import os
import sys
import warnings
from copy import deepcopy
from typing import Any

import httpx

from hearth.courier.records import Ask

KEY_BELOW = "the-transport-has-the-key"
LIBRARY_TIMEOUT_S = 3_600.0
"""Longer than any deadline of ours: the library's own timeout is no deadline, so it must not come first."""
LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx", "httpcore", "openai", "asyncio")
# fmt: off
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOG": "CRITICAL",
    "DISABLE_AIOHTTP_TRANSPORT": "True",
    "REPEATED_STREAMING_CHUNK_LIMIT": "1000000000",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "PYTHON_DOTENV_DISABLED": "1",
}
# fmt: on
SWITCHES: dict[str, Any] = {
    "suppress_debug_info": True,
    "telemetry": False,
    "turn_off_message_logging": True,
    "disable_streaming_logging": True,
    "num_retries": 0,
    "num_retries_per_request": 0,
    "drop_params": False,
    "set_verbose": False,
}


def prepare() -> None:
    """Make the process one in which the import reaches for nothing: call before `load`."""
    for name in [name for name in os.environ if name.upper().endswith(("_PROXY", "_API_KEY", "_API_BASE"))]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT)
    os.chdir(os.path.abspath(os.sep))
    # What it prints could hold what was asked; nobody needs to read that.
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    warnings.simplefilter("ignore")


def load() -> Any:
    """The library, ready; takes seconds the first time. ImportError if it is not installed."""
    library = importlib.import_module("litellm")
    for name, value in SWITCHES.items():
        setattr(library, name, value)
    for name in ("callbacks", "success_callback", "failure_callback", "input_callback"):
        setattr(library, name, [])
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.disabled = True
        logger.handlers.clear()
    return library


async def rehearse(library: Any) -> None:
    """Let it do once, within the process, what costs it time when it does it first."""
    events = b'data: {"id":"a","object":"chat.completion.chunk","created":0,"model":"m","choices":[%b]}\n\n'
    choice = b'{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":"stop"}'
    headers = {"content-type": "text/event-stream"}
    canned = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=events % choice))
    messages = ({"role": "user", "content": "x"},)
    await complete(library, Ask("http://127.0.0.1", "http://127.0.0.1/v1", "m", messages, 1), canned)


async def complete(library: Any, ask: Ask, transport: httpx.AsyncBaseTransport) -> None:
    """Send one request through `transport` and read the answer to its end. Raises whatever the library raises."""
    handlers = importlib.import_module("litellm.llms.custom_httpx.http_handler")
    handler = handlers.AsyncHTTPHandler(transport=transport, follow_redirects=False, timeout=LIBRARY_TIMEOUT_S)
    stream = await library.acompletion(
        model=f"openrouter/{ask.model}",
        messages=deepcopy([*ask.messages]),
        max_tokens=ask.max_tokens,
        stream=True,
        stream_options={"include_usage": True},
        api_key=KEY_BELOW,
        base_url=ask.base_url,
        client=handler,
        timeout=LIBRARY_TIMEOUT_S,
        num_retries=0,
        max_retries=0,
        # It takes `cache_control` out for models that need it, in the very objects that it is given: the messages are
        # put back as they were approved.
        extra_body=deepcopy({**ask.fields, "messages": [*ask.messages]}),
    )
    async for _ in stream:
        pass
