"""What git says of a folder, asked in a way in which nothing of the folder can run.

A repository's configuration can name programs: hooks, a pager, an external diff, text conversion, a file system
monitor, filters. All of them are switched off, the arguments are fixed, there is no shell, and time and output have
limits."""

import asyncio
import os
import shutil
import sys
from contextlib import suppress

from hearth.errors import HearthError

TIME_MAX_S = 10.0
OUTPUT_BYTES_MAX = 2_000_000
END_WITHIN_S = 2.0
_QUIET = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "core.pager=",
    "diff.external=",
    "core.attributesFile=" + os.devnull,
    "core.sshCommand=false",
    "protocol.allow=never",
    "submodule.recurse=false",
    "diff.ignoreSubmodules=all",
    "core.quotePath=false",
)
_DIFF = (
    "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all", "--no-renames",
    "--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "HEAD", "--",
)  # fmt: skip
_FILTERS = ("filter.", "core.worktree")


async def diff(folder: str) -> str:
    """What differs from the last commit, as a unified diff, cut off at OUTPUT_BYTES_MAX; "" for nothing.

    Raises HearthError: git is not there, this is no repository of its own, it runs programs to read its files, or it
    took too long.
    """
    if not os.path.lexists(os.path.join(folder, ".git")):  # noqa: ASYNC240
        raise HearthError("this folder is no git repository.")
    git = shutil.which("git", path=_path_without(folder))
    if git is None:
        raise HearthError("git is not installed.")
    # A filter of the repository's own configuration is a program that a diff would run, whatever the options.
    names = await _output(git, folder, ("config", "--local", "--includes", "--name-only", "--list"))
    if any(name.casefold().startswith(_FILTERS) for name in names.split("\n")):
        raise HearthError(
            "this repository's configuration names programs that a diff would run, so git was not asked.",
            "Look at its .git/config.",
        )
    return await _output(git, folder, _DIFF)


async def _output(git: str, folder: str, arguments: tuple[str, ...]) -> str:
    settings = [part for one in _QUIET for part in ("-c", one)]
    try:
        process = await asyncio.create_subprocess_exec(
            git, "--no-pager", "--no-optional-locks", *settings, *arguments,
            cwd=folder, env=_environment(folder), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, start_new_session=sys.platform != "win32",
        )  # fmt: skip
    except OSError as error:
        raise HearthError(f"git could not be started: {error.strerror}.") from error
    assert process.stdout is not None
    data = bytearray()
    try:
        async with asyncio.timeout(TIME_MAX_S):
            while len(data) < OUTPUT_BYTES_MAX and (piece := await process.stdout.read(65_536)):
                data += piece
            if len(data) < OUTPUT_BYTES_MAX and await process.wait() != 0:
                raise HearthError("git could not tell what changed.", "Is there a commit yet?")
    except TimeoutError as error:
        raise HearthError(f"git did not answer within {TIME_MAX_S:.0f} s.") from error
    finally:
        await _ended(process)
    return bytes(data[:OUTPUT_BYTES_MAX]).decode("utf-8", "replace")


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.kill()
    with suppress(TimeoutError):
        async with asyncio.timeout(END_WITHIN_S):
            await process.wait()


def _environment(folder: str) -> dict[str, str]:
    """Nothing of the user's environment that could lead git to other programs or places."""
    kept = {name: os.environ[name] for name in ("HOME", "SYSTEMROOT", "TMPDIR", "TEMP") if name in os.environ}
    return {
        **kept,
        "PATH": _path_without(folder),
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": os.path.dirname(folder),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
    }


def _path_without(folder: str) -> str:
    """Where programs are looked for: absolute folders outside of the workspace only."""
    inside = os.path.realpath(folder)
    parts = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(part)]
    return os.pathsep.join(p for p in parts if os.path.commonpath([os.path.realpath(p), inside]) != inside)
