import pytest

from hearth.core.chat_docs import code_change, style_of

GOOGLE = 'def f(a):\n    """Do.\n\n    Args:\n        a: it.\n    """\n'
NUMPY = 'def f(a):\n    """Do.\n\n    Parameters\n    ----------\n    a : int\n    """\n'
SPHINX = 'def f(a):\n    """Do.\n\n    :param a: it.\n    :returns: that.\n    """\n'


@pytest.mark.parametrize(
    ("language", "text", "others", "name", "seen"),
    [
        ("python", GOOGLE, (), "google", True),
        ("python", NUMPY, (), "numpy", True),
        ("python", SPHINX, (), "sphinx", True),
        ("python", "def f(): pass\n", (NUMPY,), "numpy", True),
        ("python", GOOGLE, (NUMPY, NUMPY), "google", True),
        ("python", 'def f():\n    """Do."""\n', (), "plain", True),
        ("typescript", "", (), "jsdoc", False),
        ("go", "", (), "godoc", False),
        ("rust", "", (), "rustdoc", False),
        ("java", "", (), "javadoc", False),
        ("cpp", "/** @brief x\n @param y */", (), "doxygen", True),
        ("lua", "", (), "comments", False),
    ],
)
def test_styles(language: str, text: str, others: tuple[str, ...], name: str, seen: bool):
    style = style_of(language, text, others)
    assert (style.name, style.seen) == (name, seen)
    assert style.instruction


def test_typescript_has_no_types_in_comments():
    assert "without types" in style_of("typescript", "").instruction
    assert "with types" in style_of("javascript", "").instruction


SAME = [
    ("python", "def f(a):\n    return a\n", 'def f(a):\n    """Give it back."""\n    # now\n    return a\n'),
    ("python", "class A:\n    x = 1\n", '"""M."""\n\n\nclass A:\n    """A."""\n\n    x = 1\n    """Its x."""\n'),
    ("python", "def f():\n    '''Old.'''\n    return 1\n", 'def f():\n    """New."""\n    return 1\n'),
    ("typescript", "function f(a: any) { return a }\n", "/** Id.\n * @param a */\nfunction f(a: any) { return a }\n"),
    ("go", "func F() int { return 1 }\n", "// F gives one.\nfunc F() int { return 1 }\n"),
    ("rust", "fn f() -> i32 { 1 }\n", "/// One.\nfn f() -> i32 { 1 }\n"),
    ("java", "class A { int f() { return 1; } }\n", "/** A. */\nclass A {\n  // One.\n  int f() { return 1; }\n}\n"),
    ("lua", "local x = 1\n", "-- One.\nlocal x = 1\n"),
]  # fmt: skip
CHANGED = [
    ("python", "def f(a):\n    return a\n", 'def f(a):\n    """Give it back."""\n    return a + 1\n'),
    ("python", "if x:\n    a()\n    b()\n", "if x:\n    a()\nb()\n"),
    ("python", "x = 'a'\n", "x = 'b'\n"),
    ("python", "def f():\n    return 1\n", "def f():\n    return 1\n\n\ndef g():\n    pass\n"),
    ("python", "import os\ndef f(): pass\n", "def f(): pass\n"),
    ("python", "def f():\n    g()\n", "def f():\n    f'{g()}'\n"),
    ("typescript", "export const a = 1\n", "/** One. */\nexport const a = 2\n"),
    ("javascript", "a()\n", "// a()\n"),
    ("go", "func F() int { return 1 }\n", "func F() int { return 2 }\n"),
    ("lua", "local x = 1\n", "-- One.\nlocal x = 2\n"),
]


@pytest.mark.parametrize(("language", "before", "after"), SAME)
def test_only_comments(language: str, before: str, after: str):
    assert code_change(language, before, after) == ""


@pytest.mark.parametrize(("language", "before", "after"), CHANGED)
def test_code_was_touched(language: str, before: str, after: str):
    assert code_change(language, before, after) != ""


def test_it_says_what_changed():
    assert "a + 1" in code_change("python", "def f(a):\n    return a\n", "def f(a):\n    return a + 1\n")
