"""The copy predictor, by tables with a marked cursor, and its index against a rebuilt one."""

from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core import copying, copyscore
from hearth.core.copying import CopyModel, CopyPrediction, best
from hearth.core.deny import is_secret
from hearth.core.lineindex import IndexedFile, LineIndex
from hearth.core.shape import names, rewrite, shape, tokens

CURSOR = "█"


def predict(model: CopyModel, text: str, path: str = "now.py", **options: object) -> CopyPrediction | None:
    lines = dedent(text).strip("\n").split("\n")
    number = next(i for i, line in enumerate(lines) if CURSOR in line)
    before, after = lines[number].split(CURSOR)
    return model.predict(lines[:number], before, after, lines[number + 1 :], path, **options)  # type: ignore[arg-type]


def project(*texts: str, suffix: str = ".py") -> CopyModel:
    model = CopyModel(lines_max=10_000)
    for number, text in enumerate(texts):
        assert model.add(f"src/file{number}{suffix}", dedent(text).strip("\n").split("\n"))
    return model


LOADER = """
    import json
    import logging

    logger = logging.getLogger(__name__)


    def load(path):
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        logger.debug("loaded %s", path)
        return data
"""


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [
        # The line that followed the same two lines, at a line's start and inside it.
        ("import json\nimport logging\n\nlogger█", " = logging.getLogger(__name__)"),
        (
            'import json\n\ndef load(path):\n    with open(path, encoding="utf-8") as stream:\n        █',
            "data = json.load(stream)",
        ),
        ('def load(path):\n    with open(path, encoding="utf-8") as stream:\n        da█', "ta = json.load(stream)"),
        # The editor has closed the bracket already.
        ('def load(path):\n    with open(path, encoding="utf-8") as stream:\n        data = json.load(█)', "stream"),
        # Nothing is known of this place.
        ("class Other:\n    █", None),
        ("xyzzy = █", None),
        # The text goes on after the cursor.
        ('def load(path):\n    with open(path, encoding="utf-8") as stream:\n        da█ + 1', None),
        # What would come is there already.
        (
            'def load(path):\n    with open(path, encoding="utf-8") as stream:\n'
            "        █\n        data = json.load(stream)",
            None,
        ),
    ],
)
def test_what_followed_is_suggested(cursor: str, expected: str | None) -> None:
    found = predict(project(LOADER, LOADER, LOADER), cursor, lines_max=1)
    assert (found.text if found else None) == expected


def test_names_are_replaced_by_those_of_the_cursor() -> None:
    model = project(
        *(
            f"""
            def read_{name}(self, {name}):
                if {name} is None:
                    raise ValueError("{name} is missing")
                self.{name} = {name}
            """
            for name in ("width", "depth", "weight")
        )
    )
    text = """
        def read_height(self, height):
            if height is None:
                raise ValueError("height is missing")
            █
    """
    found = predict(model, text, confidence_min=0.3)
    assert found is not None
    assert found.text == "self.height = height"
    assert found.path == "src/file2.py"


def test_the_line_above_is_a_pattern_for_the_one_being_typed() -> None:
    candidates = CopyModel(lines_max=100).candidates(
        ["def __init__(self, a, b):", "    self.first = first"], "    self.second", "", [], "x.py"
    )
    assert candidates[0][0] == " = second"


BLOCK = """
    class Shape:
        def close(self):
            if self.closed:
                return
            self.stream.close()
            self.closed = True

        def area(self):
            return 0
"""


def test_more_lines_follow_while_the_evidence_is_strong_and_stop_at_the_blank_line() -> None:
    model = project(*[BLOCK] * 4)
    found = predict(model, "class Shape:\n    def close(self):\n        █")
    assert found is not None
    assert found.text == "\n".join(
        ["if self.closed:", "            return", "        self.stream.close()", "        self.closed = True"]
    )
    assert found.lines == 4
    one = predict(model, "class Shape:\n    def close(self):\n        █", lines_max=1)
    assert one is not None
    assert (one.text, one.confidence) == ("if self.closed:", found.confidence)


def test_tabs_are_kept() -> None:
    tabbed = "class Shape:\n\tdef close(self):\n\t\tif self.closed:\n\t\t\treturn\n\t\tself.stream.close()"
    found = predict(project(*[tabbed] * 4), "class Shape:\n\tdef close(self):\n\t\t█")
    assert found is not None
    assert found.text == "if self.closed:\n\t\t\treturn\n\t\tself.stream.close()"


@pytest.mark.parametrize("indent", ["", "    ", "                "])
def test_a_line_is_not_suggested_at_another_depth(indent: str) -> None:
    body = "for item in items:\n        total += item.price\n        "
    there = "def f(items):\n    " + body + "count += 1"
    model = project(*[there] * 3)
    found = model.predict(
        ["def f(items):", "    for item in items:", "        total += item.price"], indent, "", [], "now.py"
    )
    assert found is None


def test_line_endings_do_not_matter() -> None:
    plain = project(*[LOADER] * 3)
    model = CopyModel(lines_max=1_000)
    for number in range(3):
        model.add(f"src/{number}.py", dedent(LOADER).strip("\n").replace("\n", "\r\n").splitlines(keepends=True))
    before = ["import json", "", "def load(path):", '    with open(path, encoding="utf-8") as stream:']
    a = plain.predict(before, "        ", "", [], "now.py")
    b = model.predict([line + "\r\n" for line in before], "        ", "\r\n", [], "now.py")
    assert a is not None
    assert b is not None
    assert a.text == b.text == "data = json.load(stream)"


def test_the_own_line_is_no_evidence_but_the_rest_of_the_file_is() -> None:
    lines = dedent(LOADER).strip("\n").split("\n")
    model = CopyModel(lines_max=1_000)
    model.add("now.py", lines)
    at = lines.index("    return data")
    assert model.predict(lines[:at], "    ret", "", lines[at + 1 :], "now.py") is None
    again = [*lines, "", *lines[lines.index("def load(path):") :]]
    model.replace("now.py", again)
    at = len(again) - 1
    found = model.predict(again[:at], "    ", "", [], "now.py", confidence_min=0.1)
    assert found is not None
    assert found.text == "return data"
    assert model.predict(again[:at], "    ", "", [], "now.py", own_file=False, confidence_min=0.0) is None


def test_the_own_line_is_left_out_too_where_only_the_lines_nearby_are_given() -> None:
    lines = dedent(LOADER).strip("\n").split("\n")
    model = CopyModel(lines_max=1_000)
    model.add("now.py", [*["pass"] * 500, *lines])
    at = lines.index("    return data")
    for line in (at, at - 1):
        assert model.predict(lines[:line], "    ", "", lines[line + 1 :], "now.py", confidence_min=0.0) is None
    # In another file the same lines are evidence.
    assert model.predict(lines[:at], "    ", "", lines[at + 1 :], "new.py", confidence_min=0.0) is not None


def test_languages_do_not_mix() -> None:
    model = project(*[LOADER] * 3)
    text = 'import json\n\ndef load(path):\n    with open(path, encoding="utf-8") as stream:\n        █'
    assert predict(model, text, "now.rb") is None
    assert predict(model, text, "now.pyi") is not None
    assert predict(model, text, "untitled:1", language="python") is not None


@pytest.mark.parametrize(
    "line",
    [
        'password = "hunter2hunter2"',
        'API_KEY: str = "0123-4567-89ab"',
        'token_value = "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"',
        "digest = 0123456789abcdef0123456789abcdef",
        'key = "-----BEGIN RSA PRIVATE KEY-----"',
    ],
)
def test_what_looks_like_a_key_is_not_copied(line: str) -> None:
    model = project(*[f"def connect():\n    first = 1\n    {line}"] * 4)
    assert predict(model, "def connect():\n    first = 1\n    █", confidence_min=0.0) is None
    harmless = project(*["def connect():\n    first = 1\n    second = 2"] * 4)
    assert predict(harmless, "def connect():\n    first = 1\n    █") is not None


def test_very_long_lines_are_not_indexed() -> None:
    model = project(*[f"def f():\n    first = 1\n    data = [{', '.join(map(str, range(200)))}]"] * 4)
    assert predict(model, "def f():\n    first = 1\n    █", confidence_min=0.0) is None


def test_limits_refuse_and_leave_the_model_as_it_was() -> None:
    model = CopyModel(files_max=2, lines_max=10, chars_max=100)
    assert model.add("a.py", ["one", "two"])
    assert not model.add("b.py", ["x"] * 9)
    assert not model.add("b.py", ["x" * 99])
    assert not model.add("app/.env", ["four"])
    assert model.add("b.py", ["three"])
    assert not model.add("c.py", ["four"])
    assert (sorted(model.paths), model.files, model.lines, model.chars) == (["a.py", "b.py"], 2, 3, 11)
    # A file that outgrows the limits is forgotten: its old text would be wrong.
    assert not model.add("a.py", ["x"] * 11)
    model.remove("b.py")
    model.remove("never there")
    assert (model.files, model.lines, model.chars) == (0, 0, 0)


def test_best_is_the_most_confident() -> None:
    a, b = CopyPrediction("a", 0.6, 1, "x"), CopyPrediction("b", 0.7, 1, "y")
    assert best([a, None, b]) == b
    assert best([a, CopyPrediction("c", 0.6, 1, "z")]) == a
    assert best([None]) is None


def test_weights_fit_the_features() -> None:
    scene = copyscore.Scene("", "", False, [], 1.0, 1)
    numbers = copyscore.features(copyscore.Evidence("x = 1"), scene)
    assert len(numbers) == len(copyscore.WEIGHTS)
    for inside in (False, True):
        assert 0 < copyscore.probability(numbers, inside) < 1


# The alphabet is small, so that lines repeat, contexts meet and hash chains grow.
LINES = st.lists(
    st.sampled_from(["", "a", "b = a", "b = c", "    return b", "    return a", "x" * 300, "f(a, b, c, d)", "\tz\r\n"]),
    max_size=12,
)


def state(index: LineIndex, file: IndexedFile) -> list[object]:
    """What an index knows of a file, without slot numbers."""
    order = {slot: i for i, slot in enumerate(file.slots) if slot}
    rows: list[object] = []
    for slot, i in order.items():
        found = [
            sorted(order[s] for s in kind.find(kind._key[slot], 1000, 100_000) if s in order) if kind._key[slot] else []  # pyright: ignore
            for kind in index.kinds
        ]
        links = (order.get(index.before[slot], -1), order.get(index.after[slot], -1), index.gap[slot])
        rows.append((i, index.text[slot], links, found))
    return rows


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pq"), LINES), min_size=1, max_size=8))
def test_an_index_that_was_edited_equals_one_built_at_once(edits: list[tuple[str, list[str]]]) -> None:
    edited = LineIndex(64)
    files = {name: IndexedFile(n, name, "", 1) for n, name in enumerate("pq", 1)}
    for name, lines in edits:
        edited.replace(files[name], lines)
    for name, file in files.items():
        fresh = LineIndex(64)
        again = IndexedFile(1, name, "", 1)
        fresh.replace(again, file.lines)
        assert state(edited, file) == state(fresh, again)
        assert file.chars == sum(map(len, file.lines))
    live = sum(1 for f in files.values() for slot in f.slots if slot)
    assert sum(1 for owner in edited.owner if owner) == live


@settings(max_examples=150, deadline=None)
@given(LINES, LINES, st.text("ab =returnfx()\t ", max_size=12), LINES)
def test_a_prediction_keeps_its_promises(there: list[str], before: list[str], typed: str, after: list[str]) -> None:
    model = CopyModel(lines_max=1_000)
    for number in range(3):
        model.add(f"{number}.py", there)
    found = model.predict(before, typed, "", after, "now.py", confidence_min=0.0)
    if found is not None:
        first, *more = found.text.split("\n")
        assert len(more) == found.lines - 1 < copying.LINES_PREDICTED_MAX
        assert first.strip()
        assert "\r" not in found.text
        assert first == first.rstrip()
        assert 0.0 <= found.confidence <= 1.0
        following = next((line.strip() for line in after if line.strip()), None)
        assert (typed + first).strip() != following


@given(st.text(max_size=60))
def test_tokens_lose_nothing(text: str) -> None:
    assert "".join(tokens(text)) == text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("self.width = width", "self.$0 = $0"),
        ("return max(a, b, 10)", "return $0($1, $2, #)"),
        ("x  =\ty", "$0 = $1"),
        ("", ""),
        ("größe = 1", "$0 = #"),
    ],
)
def test_shape(line: str, expected: str) -> None:
    assert shape(line) == expected


def test_names_and_rewrite() -> None:
    renamed: dict[str, str] = {}
    assert names(tokens("def set_a(a):"), tokens("def set_b(b):"), renamed)
    assert renamed == {"set_a": "set_b", "a": "b"}
    assert not names(tokens("a = 1"), tokens("a + 1"), {})
    assert not names(tokens("a"), tokens("a b"), {})
    result = rewrite(tokens("self.a = check(a)"), renamed, {"self"})
    assert (result.text, result.replaced, result.unknown) == ("self.b = check(b)", 2, 1)


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "a/.env.local",
        ".ENV",
        ".env.",
        "prod.env",
        "config.env.production",
        "deploy/key.pem",
        "ID_RSA",
        "id_ed25519.pub",
        "home/.ssh/config",
        ".aws/config",
        ".npmrc",
        "credentials",
        "credentials.json",
        "gcp-credentials.json",
        "Secrets.yaml",
        "secrets.py",
        "client_secret.json",
        "service-account.json",
        "my-service-account-key.json",
        "store.JKS",
        "x.tfstate",
        "a\\b\\.env",
        ".git/config",
        "passwords.txt",
        "ＩＤ_ＲＳＡ",
        "vault.kdbx",
        "db_password",
    ],
)
def test_secret_names(path: str) -> None:
    assert is_secret(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a.py",
        "environment.py",
        "env.py",
        "envelope.ts",
        "keys.py",
        "secretary.py",
        "tokenizer.py",
        "key/a.py",
        ".gitignore",
        "password_reset.py",
        "credentialing/views.py",
        "src/environments/dev.ts",
        "monkey.py",
    ],
)
def test_ordinary_names(path: str) -> None:
    assert not is_secret(path)
