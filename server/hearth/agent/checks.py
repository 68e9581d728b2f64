"""A project's checks: found, agreed to, run on a copy, and told apart by whether they failed before the change.

What is agreed to is bound to a hash: over the commands as they would be run, and over the files that say what they do
(`package.json`, `Makefile`, ...). A change of any of it asks again.
"""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from hearth.agent.base import Person
from hearth.agent.copying import TooLarge, copied, removed
from hearth.agent.covering import Probe
from hearth.agent.overlay import Overlay
from hearth.agent.running import COMMAND_S_MAX, environment, path_apart, run
from hearth.core.task_checks import Wanted, detected
from hearth.core.task_cover import Traced
from hearth.core.task_outputs import Ran, judged
from hearth.core.task_parts import Command
from hearth.core.task_state import Check, Prepared, State

ALL_S_MAX = 900.0
TOO_LARGE = "the workspace is too large to be copied"
UNTRUSTED = "the workspace is not trusted, so nothing of it is run"
NOT_AGREED = "you did not agree to running it"
NONE_FOUND = "no check was found: no tests, linter or type checker that is set up here"
_DEFINING = (
    "package.json", "Makefile", "makefile", "GNUmakefile", "pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini",
    "pom.xml", "build.gradle", "build.gradle.kts", "Cargo.toml", "build.rs", "go.mod",
)  # fmt: skip


class Checks:
    """One per task. `home`: a folder outside the workspace for the copies."""

    def __init__(self, overlay: Overlay, person: Person, home: Path, trusted: bool) -> None:
        self._overlay = overlay
        self._person = person
        self._home = home
        self._trusted = trusted
        self._answers: dict[str, bool] = {}

    def commands(self) -> tuple[tuple[Command, ...], tuple[str, ...]]:
        """The checks that there are and whose programs are here; and why others are not, in sentences."""
        base = self._overlay.base
        names = [*base, *self._manifests()]
        found = detected(dict.fromkeys(names), lambda path: base.get(path, "") or self._manifest(path))
        commands: list[Command] = []
        missing = list(found.passed_over)
        for wanted in found.wanted:
            program = self._program(wanted)
            if program:
                argv = (program, *wanted.arguments)
                commands.append(Command(wanted.kind, argv, wanted.folder, wanted.why))
            else:
                missing.append(f"{wanted.kind}: {wanted.needs or wanted.program} is not installed ({wanted.why[:80]})")
        return tuple(commands), tuple(missing)

    def _manifests(self) -> list[str]:
        """Manifests that are there, whatever ignore files say of them: which ones there are is no secret."""
        return [name for name in _DEFINING if (self._overlay.root / name).is_file()]

    def _manifest(self, path: str) -> str:
        found = self._overlay.read(path)
        return found if isinstance(found, str) else ""

    def _program(self, wanted: Wanted) -> str:
        """The absolute path of a command's program, "" if it is not here."""
        root = self._overlay.root
        folders = [root / wanted.folder, root] if wanted.folder else [root]
        if wanted.program == "python":
            return _interpreter(folders, wanted.needs)
        places = [folder / "node_modules" / ".bin" for folder in folders]
        places += [folder / name / "bin" for folder in folders for name in (".venv", "venv")]
        for place in places:
            if found := shutil.which(wanted.program, path=str(place)):
                return found
        if "/" in wanted.program:
            return ""
        return shutil.which(wanted.program, path=path_apart(root)) or _beside(wanted.program)

    def digest(self, commands: Sequence[Command]) -> str:
        """What an agreement is bound to, with the changes as they are."""
        texts = self._overlay.texts
        told = [[one.kind, [*one.argv], one.folder, one.why] for one in commands]
        files = {path: _hash(texts[path]) for path in sorted(texts) if path.rpartition("/")[2] in _DEFINING}
        return _hash(json.dumps([told, files], sort_keys=True))

    async def prepared(self) -> Prepared:
        """Find the checks, have them agreed to, and run them once without any change."""
        if not self._trusted:
            return Prepared((), False, why_not=UNTRUSTED)
        commands, missing = await asyncio.to_thread(self.commands)
        notes = "; ".join(missing)
        if not commands:
            return Prepared((), False, why_not="; ".join(part for part in (NONE_FOUND, notes) if part))
        digest = self.digest(commands)
        if not await self._person.commands(commands, digest):
            return Prepared(commands, False, why_not=NOT_AGREED, digest=digest)
        baseline, _ = await self._run(commands, {}, cover=False)
        return Prepared(commands, True, baseline, notes, digest)

    async def run(self, state: State, kind: str = "") -> tuple[Check, ...]:
        """The agreed checks of a kind ("" for all) with the changes. Asks again where what they do has changed."""
        return (await self._agreed(state, kind, cover=False))[0]

    async def covered(self, state: State) -> tuple[tuple[Check, ...], Traced | None]:
        """All agreed checks with the changes, and what was seen of the changed files while tests ran."""
        return await self._agreed(state, "", cover=True)

    async def _agreed(self, state: State, kind: str, *, cover: bool) -> tuple[tuple[Check, ...], Traced | None]:
        wanted = tuple(one for one in state.commands if not kind or one.kind == kind)
        if not wanted:
            return (), None
        if not state.commands_agreed:
            return tuple(_unverified(one, state.commands_why_not or NOT_AGREED) for one in wanted), None
        digest = self.digest(state.commands)
        if digest != state.commands_digest and not await self._agreed_again(state, digest):
            why = "what it does was changed, and you did not agree to that"
            return tuple(_unverified(one, why) for one in wanted), None
        return await self._run(wanted, self._overlay.changes, cover=cover)

    async def _agreed_again(self, state: State, digest: str) -> bool:
        if digest not in self._answers:
            self._answers[digest] = await self._person.commands(state.commands, digest)
        return self._answers[digest]

    async def _run(
        self, commands: Sequence[Command], changes: Mapping[str, str | None], *, cover: bool
    ) -> tuple[tuple[Check, ...], Traced | None]:
        place = self._home / f"copy-{token_hex(8)}"
        place.mkdir(mode=0o700, parents=True)
        copy, home = place / "work", place / "home"
        home.mkdir()
        try:
            try:
                await asyncio.to_thread(copied, self._overlay.root, copy, dict(changes))
            except TooLarge:
                return tuple(_unverified(one, TOO_LARGE) for one in commands), None
            except OSError as error:
                return tuple(_unverified(one, f"no copy could be made: {error.strerror}") for one in commands), None
            probe = await asyncio.to_thread(Probe, place / "probe", copy, changes) if cover else None
            checks: list[Check] = []
            left = ALL_S_MAX
            for command in commands:
                if left <= 0:
                    checks.append(_unverified(command, f"the checks took longer than {ALL_S_MAX:.0f} s together"))
                    continue
                checks.append(await self._seen(command, copy, home, left, probe))
                left -= checks[-1].seconds
            return tuple(checks), await asyncio.to_thread(probe.traced) if probe else None
        finally:
            await asyncio.shield(asyncio.to_thread(removed, place))

    async def _seen(self, command: Command, copy: Path, home: Path, left_s: float, probe: Probe | None) -> Check:
        """One command, seen through where it is of tests. It does not fail because of that: then it runs again."""
        if probe is None or command.kind != "tests":
            return await self._one(command, copy, home, min(left_s, COMMAND_S_MAX))
        await asyncio.to_thread(probe.begin)
        check = await self._one(command, copy, home, min(left_s, COMMAND_S_MAX), probe)
        if check.status != "not verified":
            await asyncio.to_thread(probe.ran, command.argv)
        if check.status == "passed" or left_s <= check.seconds:
            return check
        again = await self._one(command, copy, home, min(left_s - check.seconds, COMMAND_S_MAX))
        if again.status not in ("not verified", check.status):
            probe.unclear()  # what was seen is not what the tests do by themselves
        told = check if again.status == "not verified" else again
        return replace(told, seconds=again.seconds + check.seconds)

    async def _one(
        self, command: Command, copy: Path, home: Path, within_s: float, probe: Probe | None = None
    ) -> Check:
        tag = token_hex(8)
        env = environment(copy, home, self._overlay.root, tag)
        writable = (copy, home)
        if probe is not None:
            env, writable = probe.environment(env), (copy, home, probe.place)
        began = time.monotonic()
        cwd = copy / command.folder if command.folder else copy
        if not cwd.is_dir():
            return _unverified(command, f"{command.folder} is not there any more")
        ran, confinement = await run(command.argv, cwd, env, writable, tag, within_s)
        told = Ran(ran.code, ran.output, ran.why_not, str(copy))
        status, summary, passed, failed, failures = judged(command.kind, command.argv, command.folder, told)
        seconds = round(time.monotonic() - began, 2)
        return Check(command, status, summary, passed, failed, failures, seconds, confinement.words)


def _unverified(command: Command, why: str) -> Check:
    return Check(command, "not verified", why)


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def _beside(program: str) -> str:
    """A tool that is installed where Hearth's own interpreter is."""
    return shutil.which(program, path=os.path.dirname(sys.executable)) or ""


def _interpreter(folders: Sequence[Path], needs: str) -> str:
    """The project's own Python, else the path's, else ours; the first that has what is needed."""
    found: list[str] = []
    for folder in folders:
        for name in (".venv", "venv"):
            for place in ("bin/python", "Scripts/python.exe"):
                if (folder / name / place).exists():
                    found.append(str(folder / name / place))
    for name in ("python3", "python"):
        if program := shutil.which(name, path=path_apart(folders[-1])):
            found.append(program)
    found.append(sys.executable)
    return next((one for one in found if not needs or _has(one, needs)), "")


def _has(program: str, module: str) -> bool:
    """Whether an interpreter has a module, by its folders: nothing is started for that."""
    prefix = Path(program).parent.parent
    patterns = (
        "lib/python3*/site-packages",
        "lib/python3*/dist-packages",
        "lib/python3/dist-packages",
        "Lib/site-packages",
    )
    return any((packages / module).is_dir() for pattern in patterns for packages in prefix.glob(pattern))
