"""The globs of privacy.never: as users write them, and rather too much than too little."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.globs import ALTERNATIVES_MAX, GLOB_CHARS_MAX, fitting

FITS = (
    ("*.key", "a.key"),
    ("*.key", "deep/down/a.KEY"),
    ("*.key", "a.key/inside.txt"),
    ("a?c.py", "src/abc.py"),
    ("[ab].py", "b.py"),
    ("[!ab].py", "c.py"),
    ("[^ab].py", "c.py"),
    ("[a-c]x", "bx"),
    ("[]]x", "]x"),
    ("[ab", "[ab"),
    ("private", "src/private/x/y.py"),
    ("private/", "src/private/x/y.py"),
    ("src/private", "src/private/y.py"),
    ("/src", "src/a.py"),
    ("./src/*", "src/a.py"),
    ("src/*.py", "src/a.py"),
    ("src/**", "src/a/b.py"),
    ("src/**/keys/*", "src/keys/a"),
    ("src/**/keys/*", "src/x/y/keys/a"),
    ("**/keys", "x/keys/y"),
    ("**", "anything"),
    ("*", "a/b"),
    ("**/*.{pem,der}", "x/y.der"),
    ("{a,b}/{c,d}.py", "b/c.py"),
    ("SRC\\private\\*", "src/Private/x"),
    ("/home/me/work/**", "src/a.py"),
    ("~/work/**", "src/a.py"),
    ("**/work/*.py", "a.py"),
    ("caf\u00e9.txt", "cafe\u0301.txt"),
    ("stra\u00dfe", "STRASSE"),
    ("a.txt", "a.txt. "),
    ("a**b", "axxb"),
    ("x" * (GLOB_CHARS_MAX + 1), "anything"),
)
PASSES = (
    ("*.key", "a.keys"),
    ("src/*.py", "src/x/a.py"),
    ("src/*.py", "other/src/a.py"),
    ("/src", "x/src/a.py"),
    ("[!ab].py", "a.py"),
    ("[a-c]x", "dx"),
    ("a?c.py", "ac.py"),
    ("src/**/keys/*", "src/keys"),
    ("", "a.py"),
    ("/", "a.py"),
    ("!a.py", "a.py"),
    ("work", "a.py"),
    ("/home/me/other/**", "a.py"),
    ("/work", "a.py"),
    ("{a,b}.py", "c.py"),
)


@pytest.mark.parametrize(("glob", "path"), FITS)
def test_fits(glob: str, path: str) -> None:
    assert fitting([glob], "/home/me/work", path) == glob


@pytest.mark.parametrize(("glob", "path"), PASSES)
def test_does_not_fit(glob: str, path: str) -> None:
    assert fitting([glob], "/home/me/work", path) is None


def test_a_file_outside_of_the_workspace() -> None:
    assert fitting(["/etc/**"], "", "/etc/app/x.conf")
    assert fitting(["*.conf"], "", "/etc/app/x.conf")
    assert fitting(["C:/Users/*/private"], "", "c:\\users\\me\\private\\x")
    assert fitting(["/opt/**"], "", "/etc/app/x.conf") is None


def test_the_first_that_fits_is_named() -> None:
    assert fitting(["*.md", "*.py", "a.py"], "/w", "a.py") == "*.py"
    assert fitting([], "/w", "a.py") is None


def test_too_many_alternatives_are_a_star() -> None:
    many = "{" + ",".join(f"n{number}" for number in range(ALTERNATIVES_MAX * 2)) + "}.py"
    assert fitting([many], "/w", "n1.py") == fitting([many], "/w", "other.py") == many
    assert fitting(["{a,b}" * 50], "/w", "ab" * 25)


def test_stars_take_no_time() -> None:
    assert fitting(["a*" * 100 + "b", "**/a/" * 100 + "b"], "/w", "/".join(["a" * 200] * 50)) is None


NAMES = st.text(st.sampled_from("abc.é"), min_size=1, max_size=4).filter(lambda name: name.strip("."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(PATHS, st.text(st.sampled_from("abc./*?[]{},!é"), max_size=8))
def test_what_fits_a_folder_fits_what_lies_in_it(path: str, glob: str) -> None:
    if fitting([glob], "/w", path):
        assert fitting([glob], "/w", f"{path}/c")


@given(PATHS)
def test_a_path_fits_itself_and_what_stands_for_it(path: str) -> None:
    for glob in (path, path.upper(), f"**/{path}", f"/{path}", "*/" * path.count("/") + "*", f"/w/{path}"):
        assert fitting([glob], "/w", path) == glob


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_glob(glob: str, path: str) -> None:
    assert fitting([glob], "/w", path) in (glob, None)
