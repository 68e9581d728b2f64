"""Which files are read, on trees built to be nasty."""

import os
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from hearth.index import walk
from hearth.index.walk import IGNORE_FILES, Folder, read_bytes, text_lines


def plant(root: Path, files: dict[str, str]) -> Folder:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Folder(root)


def found(folder: Folder) -> set[str]:
    return {path for path in folder.walk() if path is not None}


def test_every_kind_of_ignore_file_counts_by_itself(tmp_path: Path) -> None:
    canary = {name: f"from_{name[1:].replace('/', '_')}.py" for name in IGNORE_FILES}
    files = {name: f"{mine}\n!*.py\n{mine}\n" for name, mine in canary.items()}
    folder = plant(tmp_path, {**files, **{f"deep/{mine}": "canary" for mine in canary.values()}, "kept.py": "x"})
    assert found(folder) == {"kept.py", *(name for name in IGNORE_FILES if not name.startswith(".git/"))}
    for name, mine in canary.items():
        assert not folder.allows(f"deep/{mine}")
        assert folder.excluded_by(f"deep/{mine}") == f"{name}, line 3 ({mine})"
    assert folder.excluded_by("kept.py") == ""


def unreadable(path: Path, how: str) -> str:
    """Make an ignore file that nobody understands; what is said of it."""
    path.unlink(missing_ok=True)
    if how == "a folder":
        path.mkdir()
    elif how == "dangling":
        path.symlink_to("nowhere")
    elif how == "outside":
        path.symlink_to("/etc/hostname")
        return "is a link that leads out of the folder"
    elif how == "a pipe":
        os.mkfifo(path)
    elif how == "too large":
        path.write_bytes(b"# x\n" * (walk.IGNORE_FILE_BYTES_MAX // 4 + 1))
        return "is too large"
    elif how == "too many":
        path.write_text("".join(f"a{n}\n" for n in range(walk.IGNORE_PATTERNS_MAX + 1)))
        return "has too many rules"
    else:
        path.write_bytes({"binary": b"secret.py\n\x00", "another encoding": b"Geh\xe4lter/\n"}[how])
        return "is not text"
    return "cannot be read"


@pytest.mark.parametrize("name", [".gitignore", ".aiexclude"])
@pytest.mark.parametrize(
    "how",
    ["a folder", "dangling", "outside", "a pipe", "too large", "too many", "binary", "another encoding"],
)
def test_what_nobody_understands_excludes_all_beneath_it(tmp_path: Path, how: str, name: str) -> None:
    folder = plant(tmp_path, {"a.py": "x", "d/b.py": "x", "d/e/c.py": "x", f"d/e/{name}": "!c.py"})
    why = unreadable(tmp_path / "d" / name, how)
    assert found(folder) - {f"d/e/{name}"} == {"a.py"}
    assert folder.excluded_by("d/e/c.py") == f"d/{name}, which {why}"
    assert folder.problems == {str(tmp_path / "d" / name): why}


def test_one_ignore_file_may_be_a_link_to_another_in_the_folder(tmp_path: Path) -> None:
    folder = plant(tmp_path, {"rules/all": "secret.py", "secret.py": "x", "a.py": "x"})
    (tmp_path / ".aiignore").symlink_to("rules/all")
    assert folder.excluded_by("secret.py") == ".aiignore, line 1 (secret.py)"
    assert folder.excluded_by("a.py") == ""
    # What it is a link to changes, and then the link does.
    (tmp_path / "rules/all").write_text("a.py")
    folder.look_again()
    assert (folder.excluded_by("secret.py"), folder.excluded_by("a.py")) == ("", ".aiignore, line 1 (a.py)")
    (tmp_path / ".aiignore").unlink()
    folder.look_again()
    assert folder.excluded_by("a.py") == ""


def test_a_folder_of_a_repository_keeps_the_repositorys_rules(tmp_path: Path) -> None:
    files = {
        ".gitignore": "*.log.py\npackages/a/private/\n",
        "packages/.aiignore": "secret_*\n",
        "packages/a/b.py": "x",
    }
    plant(tmp_path, {".git/HEAD": "x", **files, "packages/a/.gitignore": "!kept.log.py"})
    hidden = ("a.log.py", "private/b.py", "deep/secret_1.py")
    folder = plant(tmp_path / "packages/a", dict.fromkeys((*hidden, "kept.log.py"), "x"))
    assert found(folder) == {"b.py", "kept.log.py", ".gitignore"}
    assert folder.excluded_by("a.log.py") == "../../.gitignore, line 1 (*.log.py)"
    assert folder.excluded_by("deep/secret_1.py") == "../.aiignore, line 1 (secret_*)"
    # Rules above that are not understood count too, and so do changes.
    (tmp_path / ".gitignore").write_bytes(b"a\x00")
    folder.look_again()
    assert folder.excluded_by("b.py") == "../../.gitignore, which is not text"
    (tmp_path / ".gitignore").unlink()
    folder.look_again()
    assert folder.excluded_by("a.log.py") == ""


def test_a_folder_that_was_opened_though_it_is_excluded_is_read(tmp_path: Path) -> None:
    """A home folder under version control, with a rule that leaves everything out."""
    plant(tmp_path, {".git/HEAD": "x", ".gitignore": "*\n", ".aiignore": "*.key.py"})
    assert found(plant(tmp_path / "code/shop", {"a.py": "x", "b.key.py": "x"})) == {"a.py"}
    plant(tmp_path / "elsewhere", {"code/.git/HEAD": "x"})
    assert found(plant(tmp_path / "elsewhere/code", {"c.key.py": "x"})) == {"c.key.py"}, "a repository of its own"


def test_rules_written_by_shells_that_write_utf_16(tmp_path: Path) -> None:
    folder = plant(tmp_path, {"secret.py": "x", "a.py": "x"})
    (tmp_path / ".gitignore").write_bytes("secret.py\r\n".encode("utf-16"))
    assert found(folder) - {".gitignore"} == {"a.py"}


def test_a_look_again_sees_every_change(tmp_path: Path) -> None:
    folder = plant(tmp_path, {"d/a.py": "x"})
    for rules, excluded in (("a.py", True), ("b.py", False), ("a.py", True), (None, False), ("d/", True)):
        # Of the same size, and within the clock's grain: times alone would not tell.
        if rules is None:
            (tmp_path / ".gitignore").unlink()
        else:
            (tmp_path / ".gitignore").write_text(rules)
        folder.look_again()
        assert bool(folder.excluded_by("d/a.py")) == excluded


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("a/**/b/**/c/**/d/**/e.py", "a/1/b/2/c/3/d/4/e.py"),
        ("*a*b*c*d*e*.py", "1a2b3c4d5e6.py"),
        ("x" * 200 + "/" + "y" * 220 + ".py", "x" * 200 + "/" + "y" * 220 + ".py"),
        ("x" * 200 + "/" + "y" * 220 + "*.py", "x" * 200 + "/" + "y" * 220 + "1.py"),
        ("[a]" * 150 + ".py", "a" * 150 + ".py"),
    ],
)
def test_rules_that_would_take_long_ignore_more_never_less(tmp_path: Path, rule: str, path: str) -> None:
    (tmp_path / ".gitignore").write_text(rule)
    assert Folder(tmp_path).excluded_by(path)


@pytest.mark.parametrize(
    ("rules", "ignored", "kept"),
    [
        ({".gitignore": "*.log.py"}, ["a.log.py", "d/a.log.py"], ["a.py"]),
        ({".gitignore": "/top.py"}, ["top.py"], ["d/top.py"]),
        ({".gitignore": "gen/"}, ["gen/a.py", "d/gen/b.py"], ["gen.py"]),
        ({".gitignore": "*.py\n!keep.py"}, ["a.py"], ["keep.py"]),
        ({"d/.gitignore": "a.py"}, ["d/a.py", "d/e/a.py"], ["a.py"]),
        ({".gitignore": "a.py", "d/.gitignore": "!a.py"}, ["a.py"], ["d/a.py"]),
        # Another kind of file cannot allow what one forbids.
        ({".gitignore": "a.py", "d/.aiignore": "!a.py"}, ["a.py", "d/a.py"], []),
        # What lies in an ignored folder cannot be allowed again.
        ({".gitignore": "gen/\n!gen/a.py"}, ["gen/a.py"], []),
        ({".gitignore": "\ufeff# a comment\r\nb.py\r\n"}, [], ["a.py"]),
        ({".gitignore": "a*b*c*d*e*f.py"}, ["axbxcxdxexf.py", "axbxcx.py"], ["ab.py"]),
        ({".gitignore": "!" + "*a" * 50 + "\nx.py"}, ["x.py"], ["y.py"]),
        ({".gitignore": "[\n\\\n!\n***\n"}, [], []),
    ],
)
def test_ignore_rules(tmp_path: Path, rules: dict[str, str], ignored: list[str], kept: list[str]) -> None:
    folder = plant(tmp_path, {**rules, **dict.fromkeys([*ignored, *kept], "x")})
    seen = found(folder)
    for path in ignored:
        assert path not in seen
        assert not folder.allows(path)
    for path in kept:
        assert path in seen
        assert folder.allows(path)


def test_matches_git_on_the_same_tree(tmp_path: Path) -> None:
    """git itself is the oracle for .gitignore."""
    rules = {
        ".gitignore": "*.tmp.py\n/a/*\n!/a/keep/\n**/deep/x.py\nfoo/bar\n[ab]c.py\n\\#hash.py\nsp ace.py\n",
        "a/keep/.gitignore": "no.py\n",
        "b/.gitignore": "/only.py\n!z.tmp.py\n",
    }
    files = [
        "1.tmp.py", "a/lost.py", "a/keep/yes.py", "a/keep/no.py", "q/deep/x.py", "deep/x.py", "foo/bar/z.py",
        "x/foo/bar/z.py", "ac.py", "cc.py", "#hash.py", "sp ace.py", "b/only.py", "b/c/only.py",
        "b/z.tmp.py", "b/c/z.tmp.py",
    ]  # fmt: skip
    folder = plant(tmp_path, {**rules, **dict.fromkeys(files, "x")})
    git = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.excludesFile=/dev/null", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--others", "--exclude-standard"], check=True, capture_output=True, text=True
    )
    assert found(folder) == set(listed.stdout.split("\0")) - {""}


def test_secrets_and_built_in_folders_are_never_entered(tmp_path: Path) -> None:
    canaries = [
        ".env", ".env.local", "app/.ENV", "id_rsa", "k/server.key", "credentials.json", ".aws/config", ".git/config",
        "node_modules/x/i.js", "Node_Modules/x/i.js", ".venv/lib/a.py", "dist/a.js", "a.min.js", "package-lock.json",
        "my-env/lib/b.py", "x.egg-info/PKG",
    ]  # fmt: skip
    rules = {".gitignore": "!.env\n!id_rsa\n!node_modules\n!**/*\n"}
    folder = plant(tmp_path, {**dict.fromkeys([*canaries, "my-env/pyvenv.cfg", "ok.py"], "x"), **rules})
    assert found(folder) == {"ok.py", ".gitignore"}
    assert not any(folder.allows(path) for path in canaries)


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    inside = tmp_path / "ws"
    folder = plant(inside, {"a.py": "x", "sub/b.py": "x"})
    plant(outside, {"canary.py": "x"})
    plant(tmp_path / "ws-evil", {"canary.py": "x"})
    (inside / "loop").symlink_to(inside)
    (inside / "sub/up").symlink_to("..")
    (inside / "link.py").symlink_to(outside / "canary.py")
    (inside / "there").symlink_to(outside)
    (inside / "self").symlink_to("self")
    os.mkfifo(inside / "pipe.py")
    assert found(folder) == {"a.py", "sub/b.py"}
    assert folder.relative(str(inside / "sub/b.py")) == "sub/b.py"
    for path in ("link.py", "there/canary.py", "loop/a.py", "../outside/canary.py", "../ws-evil/canary.py"):
        assert folder.relative(str(inside / path)) is None
    assert read_bytes(inside / "link.py") is None
    assert read_bytes(inside / "pipe.py") is None
    assert read_bytes(inside) is None
    assert read_bytes(inside / "gone.py") is None
    assert read_bytes(inside / "nul\0.py") is None


def test_a_folder_reached_through_a_link_is_still_the_folder(tmp_path: Path) -> None:
    plant(tmp_path / "real", {"a.py": "x"})
    (tmp_path / "alias").symlink_to("real")
    folder = Folder(Path(os.path.realpath(tmp_path / "alias")))
    assert folder.relative(str(tmp_path / "real/a.py")) == "a.py"


def test_what_may_not_be_read_is_passed_over() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = plant(root, {"a.py": "x", "closed/b.py": "x", "z/c.py": "x", "locked.py": "x"})
        root.chmod(0o755)
        (root / "closed").chmod(0)
        (root / "locked.py").chmod(0)
        was = os.geteuid()
        try:
            if was == 0:
                # Root may read everything, so be nobody for a moment.
                os.seteuid(65534)
            assert found(folder) == {"a.py", "z/c.py", "locked.py"}
            assert read_bytes(root / "locked.py") is None
            assert read_bytes(root / "a.py") == b"x"
        finally:
            os.seteuid(was)
            (root / "closed").chmod(stat.S_IRWXU)


def test_folders_that_vanish_during_the_walk(tmp_path: Path) -> None:
    folder = plant(tmp_path, {f"d{n}/a.py": "x" for n in range(5)})
    seen: set[str] = set()
    for path in folder.walk():
        if path is not None:
            seen.add(path)
            for n in range(5):
                (tmp_path / f"d{n}/a.py").unlink(missing_ok=True)
                if (tmp_path / f"d{n}").exists():
                    (tmp_path / f"d{n}").rmdir()
    assert len(seen) == 1
    assert found(Folder(tmp_path / "never")) == set()


def test_names_in_no_encoding_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    with open(os.fsencode(tmp_path) + b"/\xff\xfe.py", "w") as stream:
        stream.write("x")
    assert found(Folder(tmp_path)) == {"a.py"}


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = plant(tmp_path, {f"{n:03}.py": "x" for n in range(300)} | {"/".join("d" * 12) + "/deep.py": "x"})
    assert len(found(folder)) == 301
    assert sum(path is None for path in folder.walk()) > 300 // walk.ENTRIES_PER_BREATH
    monkeypatch.setattr(walk, "ENTRIES_MAX", 100)
    assert len(found(folder)) <= 100
    monkeypatch.setattr(walk, "ENTRIES_MAX", 1000)
    monkeypatch.setattr(walk, "DEPTH_MAX", 5)
    assert len(found(folder)) == 300


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        ("\ufeffa = 'é'\n".encode(), ["a = 'é'", ""]),
        ("a\u2028b\x0cc\n".encode(), ["a\u2028b\x0cc", ""]),
        ("naïve\n".encode("latin-1"), ["naïve", ""]),
        ("a\nb".encode("utf-16"), ["a", "b"]),
        (b"\xff\xfea", None),
        (b"PK\x03\x04\x00\x00", None),
        (bytes(range(1, 256)) * 4, None),
        (b"# @generated by a tool\nx = 1\n", None),
        (b"# This file was automatically generated by a tool\nx = 1\n", None),
        (b"// Auto-generated file\nx = 1\n", None),
        (b'"""Nodes generated by the parser."""\n', ['"""Nodes generated by the parser."""', ""]),
        (b"# Keys are autogenerated values.\n", ["# Keys are autogenerated values.", ""]),
        (b"// Code generated by protoc. DO NOT EDIT.\n", None),
        (b"x" * 30_000, None),
        (b"\n".join([b"y" * 300] * 50), None),
        (b"", [""]),
    ],
)
def test_text_or_not(data: bytes, lines: list[str] | None) -> None:
    assert text_lines(data) == lines


def test_large_files_are_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "bundle.js"
    with huge.open("wb") as stream:
        stream.truncate(50_000_000)
    assert read_bytes(huge) is None
    exact = tmp_path / "exact.js"
    exact.write_bytes(b"x" * walk.FILE_BYTES_MAX)
    assert read_bytes(exact) == b"x" * walk.FILE_BYTES_MAX
    with exact.open("ab") as stream:
        stream.write(b"x")
    assert read_bytes(exact) is None
