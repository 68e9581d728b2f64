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


def lines_with(pattern: str) -> list[str]:
    """Of what sets up the project, and of what sets up the server for a user."""
    sources = [*(ROOT / "scripts").glob("*"), *(ROOT / "client-extension/src").glob("*.ts")]
    texts = [path.read_text("utf-8") for path in sorted(sources) if path.is_file()]
    return [line for text in texts for line in text.splitlines() if re.search(pattern, line)]


def test_what_is_installed_is_what_is_locked() -> None:
    """Each way to install, as it stands in the code: with hashes, or from a lock file that is not made anew."""
    by_pip = lines_with(r"(?<!const pip = \[)\"pip\", \"install\"(?!.*\];)|\[\.\.\.pip,")
    assert len(by_pip) == 3, by_pip
    assert [line for line in by_pip if "--require-hashes" not in line and "--no-index" not in line] == []
    by_uv = lines_with(r"\buv\(\), \"(sync|pip|add|run)\"")
    assert [line for line in by_uv if '"sync", "--frozen"' not in line] == []
    assert by_uv
    by_npm = lines_with(r"npm\(\), \"(ci|install|add)\"")
    assert [line for line in by_npm if "--ignore-scripts" not in line] == []
    assert by_npm


def test_what_a_user_gets_is_listed_with_its_hashes() -> None:
    """What the extension carries is made by `uv export`, which writes them unless told otherwise."""
    exports = lines_with(r"\"export\"")
    assert exports
    assert [line for line in exports if "--no-hashes" in line or "--frozen" not in line] == []


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
