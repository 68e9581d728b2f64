"""Runs one check in a smaller world: run as a program, with nothing but Python's own modules.

    python -I launch.py STATUS_FD '{"cwd": ..., "writable": [...], "limits": {...}}' PROGRAM ARGUMENT ...

What of the smaller world could be had is written to STATUS_FD as one JSON line, before the program starts: `network`
(off, or why it is not), `files` (whether it can write only below `writable`). Nothing here depends on the server, so
that it starts quickly and cannot be changed by the folder that is checked.

On Linux it stays, as the parent of whatever the program leaves behind: all of that ends with the program, and with the
server, even where the server is killed. Then it ends as the program did. Elsewhere it becomes the program.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_VERSION_FLAG = 1
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x41
WRITE_FILE, REMOVE_DIR, REMOVE_FILE = 1 << 1, 1 << 4, 1 << 5
MAKES = sum(1 << bit for bit in range(6, 13))
REFER, TRUNCATE = 1 << 13, 1 << 14
NOT_FOUND = 127
TO_THE_GROUP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What a program may send to its whole group, in which we are, too."""
NOT_HERE = "not on this system"


class _ServerGone(Exception):
    """Who started us is no more."""


if sys.platform == "linux":
    SERVER_GONE = signal.SIGRTMIN + 7
    """One that nobody else sends."""
else:
    SERVER_GONE = signal.SIGTERM


def main(arguments: Sequence[str]) -> int:
    """Run the program; its exit code, or why it could not be run."""
    status_fd, order, argv = int(arguments[0]), json.loads(arguments[1]), list(arguments[2:])
    _limit(order["limits"])
    if sys.platform != "linux":
        _tell(status_fd, NOT_HERE, NOT_HERE)
        return _become(argv, order["cwd"])
    libc = ctypes.CDLL(None, use_errno=True)
    signal.signal(SERVER_GONE, _server_gone)
    for name in TO_THE_GROUP:
        signal.signal(name, signal.SIG_IGN)
    libc.prctl(PR_SET_PDEATHSIG, SERVER_GONE, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _tell(status_fd, _no_network(libc), _confined(libc, order["writable"]))
    return _looked_after(libc, argv, order["cwd"])


def _tell(status_fd: int, network: str, files: str) -> None:
    with os.fdopen(status_fd, "w") as stream:
        stream.write(json.dumps({"network": network, "files": files}) + "\n")


def _become(argv: list[str], cwd: str) -> int:
    """The program in our place; the exit code if that cannot be."""
    # Python ignores these, and a program would inherit that.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.chdir(cwd)
        os.execve(argv[0], argv, dict(os.environ))
    except OSError as error:
        sys.stdout.write(f"{argv[0]}: {error.strerror}\n")
        sys.stdout.flush()
        return NOT_FOUND


def _server_gone(_signal: int, _frame: object) -> None:
    raise _ServerGone


def _looked_after(libc: Any, argv: list[str], cwd: str) -> int:
    """The program as a child, and nothing of it left afterwards; its exit code."""
    program = os.fork()
    if program == 0:
        # Without us there is nobody to look after it.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for name in (SERVER_GONE, *TO_THE_GROUP):
            signal.signal(name, signal.SIG_DFL)
        os._exit(_become(argv, cwd))
    code = -signal.SIGKILL
    try:
        while True:
            ended, status = os.waitpid(-1, 0)
            if ended == program:
                code = os.waitstatus_to_exitcode(status)
                break
    except _ServerGone:
        pass
    signal.signal(SERVER_GONE, signal.SIG_IGN)
    _end_children()
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _end_children() -> None:
    """End what is left; what that leaves behind becomes ours, and is ended next."""
    while children := _children():
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Our children, those that have ended and were not waited for among them."""
    found: list[int] = []
    mine = os.getpid()
    try:
        for name in os.listdir("/proc"):
            if name.isdecimal():
                try:
                    with open(f"/proc/{name}/stat") as stream:
                        fields = stream.read().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[1]) == mine:
                    found.append(int(name))
    except OSError:
        pass
    return found


def _limit(limits: dict[str, int]) -> None:
    for name, most in limits.items():
        which = getattr(resource, f"RLIMIT_{name}")
        soft, hard = resource.getrlimit(which)
        del soft
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))


def _no_network(libc: Any) -> str:
    """`off`, or why the network is still there."""
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return os.strerror(ctypes.get_errno())
    try:
        for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as stream:
                stream.write(line)
        # Tests talk to themselves: loopback is theirs alone in here.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh14s", b"lo", IFF_UP_RUNNING, b""))
    except OSError as error:
        return f"off, and loopback too ({error.strerror})"
    return "off"


def _confined(libc: Any, writable: Sequence[str]) -> str:
    """`confined` if from here on only files below `writable` can be changed, or why not."""
    version = libc.syscall(LANDLOCK_CREATE, None, 0, LANDLOCK_VERSION_FLAG)
    if version < 1:
        return os.strerror(ctypes.get_errno())
    rights = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKES | (REFER if version >= 2 else 0)
    rights |= TRUNCATE if version >= 3 else 0
    attributes = ctypes.c_uint64(rights)
    ruleset = libc.syscall(LANDLOCK_CREATE, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    if ruleset < 0:
        return os.strerror(ctypes.get_errno())
    for path in writable:
        try:
            parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        # For a file only what can be done to files may be named.
        allowed = rights if os.path.isdir(path) else rights & (WRITE_FILE | TRUNCATE)
        rule = struct.pack("=Qi", allowed, parent)
        added = libc.syscall(LANDLOCK_ADD, ruleset, 1, rule, 0)
        os.close(parent)
        if added != 0:
            return os.strerror(ctypes.get_errno())
    if libc.syscall(LANDLOCK_RESTRICT, ruleset, 0) != 0:
        return os.strerror(ctypes.get_errno())
    os.close(ruleset)
    return "confined"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
