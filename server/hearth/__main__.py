"""The `hearth` command; `python -m hearth` is the same."""

import sys
from collections.abc import Sequence
from importlib import import_module

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) != ["serve"]:
        return import_module("hearth.cli").main(arguments)
    try:
        # What an editor starts loads only what the first answer needs: the other commands would cost half of the time.
        return import_module("hearth.lsp.server").serve()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
