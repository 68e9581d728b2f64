"""Which hosts a program and everything that it starts reach for, seen from outside.

Where strace is there and allowed, every address in a system call counts, from the first instruction on: also one that
fails, is refused at once, or is only asked for a route. Elsewhere the kernel's list of sockets is read again and again.
"""

import ipaddress
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

LOOK_EVERY_S = 0.002
CALLS = "connect,sendto,sendmsg,sendmmsg,bind"
_CALL = re.compile(r"^\d+\s+(?:<\.\.\. )?(\w+)")
_ADDRESS = re.compile(r'sin_addr=inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')


class Watch:
    """`argv(...)` is the command to run in place of another; `hosts()` what it reached for, when it has ended."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._polled: set[str] = set()
        self._count = 0
        self._over = threading.Event()
        self.exact = usable()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        if not self.exact:
            self._thread.start()

    def argv(self, *command: str) -> list[str]:
        self._count += 1
        if not self.exact:
            return list(command)
        return [
            *("strace", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={CALLS}", "-e", "signal=none"),
            *("-o", str(self._folder / f"{self._count}.trace"), *command),
        ]

    def calls(self) -> list[tuple[str, str]]:
        """(what was called, address), loopback too."""
        found: list[tuple[str, str]] = []
        for trace in sorted(self._folder.glob("*.trace")):
            for line in trace.read_text("utf-8", "replace").splitlines():
                name = _CALL.match(line)
                found += [(name[1] if name else "?", one or other) for one, other in _ADDRESS.findall(line)]
        return found + [("seen", address) for address in sorted(self._polled)]

    def far(self) -> list[tuple[str, str]]:
        """Those that are not this machine's."""
        return [(call, address) for call, address in self.calls() if not ipaddress.ip_address(address).is_loopback]

    def end(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _poll(self) -> None:
        me = psutil.Process()
        while not self._over.wait(LOOK_EVERY_S):
            for process in me.children(recursive=True):
                try:
                    self._polled |= {socket.raddr.ip for socket in process.net_connections("inet") if socket.raddr}
                except psutil.Error:
                    continue


def usable() -> bool:
    """Whether strace is there, and may be used."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        return False
    probe = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect", sys.executable, "-c", ""]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def run(watch: Watch, argv: Sequence[str], **how: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(watch.argv(*argv), capture_output=True, text=True, check=False, **how)  # type: ignore[call-overload]
