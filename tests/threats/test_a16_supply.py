"""A16: a release of a dependency carries code that runs whenever Python starts.

Controls: every package is locked by hash, the versions known to be malicious are not among them, and no file of path
configuration is there that we do not know. (Also tests/courier/test_supply.py, for the library's version.)
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from courier.test_supply import STARTERS

ROOT = Path(__file__).resolve().parents[2]


def test_the_lock_file_is_what_is_installed_from() -> None:
    scripts = "\n".join(
        path.read_text("utf-8", "replace")
        for path in sorted((ROOT / "scripts").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and "benchmarks" not in path.parts
    )
    installs = [line for line in scripts.splitlines() if re.search(r"\bpip\b.*\binstall\b", line)]
    assert not [line for line in installs if not re.search(r"--require-hashes|hash|uv", line)], installs


def test_no_package_comes_from_elsewhere_than_an_index() -> None:
    for package in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]:
        assert set(package["source"]) <= {"registry", "editable"}, package["name"]


def test_nothing_but_ours_is_imported_when_python_starts() -> None:
    """What a planted `.pth` would do, seen from inside: the modules that are there before the first line of ours."""
    code = "import sys; print('\\n'.join(sorted(m for m in sys.modules if not m.startswith('_'))))"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    foreign = {name.partition(".")[0] for name in ran.stdout.split()} - set(sys.stdlib_module_names)
    assert foreign <= {"distutils-precedence"}, foreign
    assert STARTERS
