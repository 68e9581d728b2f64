"""The embedded engine's own process: llama.cpp's server on a random loopback port, ended with its parent.

Started as `python -I -m hearth.backends.engine_process MODEL CONTEXT_TOKENS SLOTS [STATES_FOLDER]`. Its one message is
{"ready": true, "url": "http://127.0.0.1:PORT", "key": "..."} or {"ready": false, "error": "..."}; after that it speaks
llama.cpp's HTTP. CONTEXT_TOKENS are what each slot has. The key keeps other users and web pages on this machine out.
"""

import contextlib
import importlib
import os
import secrets
import sys
from typing import Any

from hearth.worker import Child

NICENESS = 5
"""The editor comes first when both want the processor."""
THREADS_MAX = 8
HTTP_THREADS = 4
BATCH_TOKENS_CPU = 64
BATCH_TOKENS_GPU = 512
"""A cancelled request ends between two batches of its prompt, so small ones free the slot soon. Measured on one loaded
core with 50 million parameters: 64 tokens read at 3/4 of the speed of 256, and free the slot in 0.3 s, not 2.5 s."""
PROMPT_CACHE_MIB = 512
QUIET = 1


def threads() -> int:
    """How many threads to compute with: about the physical cores, never all of the logical ones."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores // 2, THREADS_MAX))


def batch_tokens(engine: Any) -> int:
    """Tokens of a prompt that are computed at once: many where a GPU does it."""
    kinds = {str(getattr(device.get("type"), "name", "")) for device in engine.get_device_info()}
    return BATCH_TOKENS_GPU if any(kind.endswith("GPU") for kind in kinds) else BATCH_TOKENS_CPU


def main() -> None:
    """Load, announce, and serve until the parent goes."""
    child = Child(niceness=NICENESS)
    model, context_tokens, slots = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    key = secrets.token_urlsafe(24)
    # An optional extra without types: the parent has made sure that it is there.
    engine: Any = importlib.import_module("xllamacpp")
    params: Any = engine.CommonParams()
    params.model.path = model
    # Not one cache for all slots: each would be cleared when another one works.
    params.n_ctx = context_tokens * slots
    params.n_parallel = slots
    params.kv_unified = False
    params.n_batch = params.n_ubatch = batch_tokens(engine)
    params.cpuparams.n_threads = threads()
    params.cpuparams_batch.n_threads = threads()
    params.n_threads_http = HTTP_THREADS
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    if len(sys.argv) > 4:
        params.slot_save_path = sys.argv[4] + os.sep  # joined with the file's name as it is
    params.cors_origins = ""
    params.cors_credentials = False
    params.verbosity = QUIET
    try:
        server: Any = engine.Server(params)
    except (RuntimeError, ValueError) as error:
        child.send({"ready": False, "error": str(error) or "the engine could not load the model"})
    else:
        child.send({"ready": True, "url": str(server.listening_address), "key": key})
    with contextlib.suppress(EOFError):
        while True:
            child.receive()
    # The engine's threads do not end by themselves; everything worth keeping is outside this process.
    os._exit(0)


if __name__ == "__main__":
    main()
