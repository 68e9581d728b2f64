"""What is installed is what the lock names, by its hash, and nothing runs by itself when Python starts."""

import importlib.metadata
import re
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MALICIOUS = {"1.82.7", "1.82.8"}
FIXED_SINCE = (1, 83, 7)
STARTERS = {"_editable_impl_hearth.pth", "_virtualenv.pth", "distutils-precedence.pth"}
"""Files of path configuration that tools write: any other could run code in every Python of the environment."""


def locked():
    return tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]


def test_every_package_is_locked_by_hash():
    for package in locked():
        if "editable" in package["source"]:
            continue
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]) for file in files), package["name"]


def test_litellm_is_a_good_one():
    (version,) = [package["version"] for package in locked() if package["name"] == "litellm"]
    assert version not in MALICIOUS
    assert tuple(map(int, version.split("."))) >= FIXED_SINCE
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["optional-dependencies"]["cloud"] == [f"litellm=={version}"]
    assert importlib.metadata.version("litellm") == version


def test_nothing_runs_when_python_starts():
    site = Path(sysconfig.get_path("purelib"))
    assert {path.name for path in site.glob("*.pth")} <= STARTERS
    assert not (site / "sitecustomize.py").exists()
    assert not (site / "usercustomize.py").exists()
    for starter in site.glob("*.pth"):
        if starter.name.startswith("_editable"):
            assert Path(starter.read_text("utf-8").strip()) == ROOT / "server"
