"""Where the server's log goes: a bounded file that only the user can read, and the first warnings to stderr."""

import logging
import os
import stat
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_BYTES_MAX = 1_000_000
LOG_FILES_KEPT = 1
# A client may never read our stderr. Less than a pipe holds, so that writing to it cannot block.
STDERR_BYTES_MAX = 32 * 1024

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class FewWarnings(logging.Handler):
    """Warnings to a descriptor until `STDERR_BYTES_MAX` are used up."""

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__(logging.WARNING)
        self._descriptor = descriptor
        self._left = STDERR_BYTES_MAX
        self.setFormatter(logging.Formatter("hearth: %(message)s"))

    def format(self, record: logging.LogRecord) -> str:
        """One line, without the traceback: that one is for the log file."""
        return "hearth: " + record.getMessage().replace("\n", " ")

    def emit(self, record: logging.LogRecord) -> None:
        line = (self.format(record) + "\n").encode("utf-8", "replace")
        if len(line) > self._left:
            self._left = 0
            return
        self._left -= len(line)
        try:
            os.write(self._descriptor, line)
        except OSError:
            self._left = 0


def start_logging(data_dir: Path) -> Path:
    """Log to `data_dir/logs/serve.log`; returns its path. Without a usable directory only stderr is left."""
    path = data_dir / "logs" / "serve.log"
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for noisy in ("pygls", "httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.raiseExceptions = False
    root.addHandler(FewWarnings())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sys.platform != "win32" and stat.S_IMODE(path.parent.stat().st_mode) != 0o700:
            path.parent.chmod(0o700)
        handler = RotatingFileHandler(path, maxBytes=LOG_BYTES_MAX, backupCount=LOG_FILES_KEPT, encoding="utf-8")
    except OSError as error:
        logging.getLogger(__name__).warning("no log file: %s", error)
        return path
    handler.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(handler)
    return path
