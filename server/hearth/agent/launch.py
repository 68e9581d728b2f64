"""Starts one check in a smaller world, then becomes it: run as a program, with nothing but Python's own modules.

    python -I launch.py STATUS_FD '{"cwd": ..., "writable": [...], "limits": {...}}' PROGRAM ARGUMENT ...

What of the smaller world could be had is written to STATUS_FD as one JSON line, before the program starts: `network`
(off, or why it is not), `files` (whether it can write only below `writable`). Nothing here depends on the server, so
that it starts quickly and cannot be changed by the folder that is checked.
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
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_VERSION_FLAG = 1
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x41
WRITE_FILE, REMOVE_DIR, REMOVE_FILE = 1 << 1, 1 << 4, 1 << 5
MAKES = sum(1 << bit for bit in range(6, 13))
REFER, TRUNCATE = 1 << 13, 1 << 14
NOT_FOUND = 127
NOT_HERE = "not on this system"


def main(arguments: Sequence[str]) -> int:
    """Becomes the program; the exit code if it cannot."""
    status_fd, order, argv = int(arguments[0]), json.loads(arguments[1]), list(arguments[2:])
    status = {"network": NOT_HERE, "files": NOT_HERE}
    _limit(order["limits"])
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        status = {"network": _no_network(libc), "files": _confined(libc, order["writable"])}
    with os.fdopen(status_fd, "w") as stream:
        stream.write(json.dumps(status) + "\n")
    try:
        os.chdir(order["cwd"])
        os.execve(argv[0], argv, dict(os.environ))
    except OSError as error:
        sys.stdout.write(f"{argv[0]}: {error.strerror}\n")
        return NOT_FOUND


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
