"""Settings: any input gives usable settings and a sentence for each thing that was not used."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.settings import (
    BACKEND_OPTIONS,
    BACKENDS_MAX,
    OPTIONS,
    SETTINGS_FILE_BYTES_MAX,
    Settings,
    config_dir,
    data_dir,
    defaults_of,
    load,
    overlay,
    parse,
    unused_fields,
)


def test_nothing_gives_the_defaults() -> None:
    for raw in (None, {}):
        assert parse(raw) == (Settings(), [])
    assert Settings().cloud.enabled is False


def test_a_whole_table() -> None:
    settings, problems = parse(
        {
            "backends": [{"kind": "ollama", "url": "http://127.0.0.1:11434", "model": "qwen2.5-coder", "fim": "qwen"}],
            "completion": {"enabled": False, "languages_off": ["markdown"], "max_lines": 3},
            "privacy": {"own_hosts": ["box.lan"]},
        }
    )
    assert problems == []
    assert settings.backends[0].model == "qwen2.5-coder"
    assert settings.completion.languages_off == ("markdown",)
    assert settings.privacy.own_hosts == ("box.lan",)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("text", ["settings", "expected a table"]),
        ({"completion": {"max_lines": 0}}, ["completion.max_lines", "out of range", "12"]),
        ({"completion": {"max_lines": "many"}}, ["completion.max_lines", "expected integer", "12"]),
        ({"completion": {"max_lines": True}}, ["completion.max_lines", "expected integer"]),
        ({"completion": {"enabled": 1}}, ["completion.enabled", "expected boolean", "True"]),
        ({"completion": {"languages_off": [1]}}, ["completion.languages_off", "in the list"]),
        ({"cloud": {"budget_per_day": float("nan")}}, ["cloud.budget_per_day", "out of range"]),
        ({"cloud": {"approval": "always"}}, ["cloud.approval", "each, session, workspace"]),
        ({"surprise": 1}, ["surprise", "unknown"]),
        ({"index": {"surprise": 1}}, ["index.surprise", "unknown"]),
        ({"backends": {}}, ["backends", "expected a list"]),
        ({"backends": [{}]}, ["backends[0].kind"]),
        ({"backends": [{"kind": "ollama", "roles": ["sing"]}]}, ["backends[0].roles"]),
        ({"backends": [{"kind": "ollama"}] * (BACKENDS_MAX + 1)}, ["only the first"]),
    ],
)
def test_a_bad_value_is_named_with_what_is_used_instead(raw: object, words: list[str]) -> None:
    settings, problems = parse(raw)
    assert len(problems) == 1
    for word in words:
        assert word in problems[0]
    assert settings.completion == Settings().completion
    assert len(settings.backends) <= BACKENDS_MAX


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from([o.key for o in (*OPTIONS, *BACKEND_OPTIONS)])
_SECTIONS = st.sampled_from(["completion", "cloud", "privacy", "index", "backends", "other"])


@given(
    st.dictionaries(_SECTIONS, st.dictionaries(_KEYS, _JSON) | st.lists(st.dictionaries(_KEYS, _JSON)) | _JSON) | _JSON
)
def test_nothing_breaks_it(raw: object) -> None:
    settings, problems = parse(raw)
    assert isinstance(settings, Settings)
    assert all(isinstance(problem, str) for problem in problems)
    assert 1 <= settings.completion.max_lines <= 100


def test_every_field_is_an_option_and_every_default_is_valid() -> None:
    assert unused_fields() == set()
    raw: dict[str, dict[str, object]] = {}
    for option in OPTIONS:
        raw.setdefault(option.section, {})[option.key] = defaults_of(option)
    assert parse(raw) == (Settings(), [])


def test_the_editor_overlays_the_file() -> None:
    below = {"completion": {"enabled": False, "max_lines": 3}, "backends": [{"kind": "ollama"}]}
    above = {"completion": {"max_lines": 5}, "backends": [{"kind": "llamacpp"}]}
    merged = overlay(below, above)
    assert merged["completion"] == {"enabled": False, "max_lines": 5}
    assert merged["backends"] == [{"kind": "llamacpp"}]
    assert overlay("nonsense", None) == {}


def test_the_file_is_read_and_trouble_with_it_is_named(tmp_path: Path) -> None:
    assert load(tmp_path) == ({}, [])
    path = tmp_path / "settings.toml"
    path.write_text("[completion]\nmax_lines = 4\n")
    assert load(tmp_path) == ({"completion": {"max_lines": 4}}, [])
    for content in (b"[completion", b"\xff\xfe", b"x = 1\n" * SETTINGS_FILE_BYTES_MAX):
        path.write_bytes(content)
        raw, problems = load(tmp_path)
        assert raw == {}
        assert len(problems) == 1
        assert "settings.toml" in problems[0]


def test_the_folders_can_be_moved_by_the_environment() -> None:
    assert config_dir({"HEARTH_CONFIG_DIR": "/c"}) == Path("/c")
    assert data_dir({"HEARTH_DATA_DIR": "/d"}) == Path("/d")
    assert data_dir({}).name == "hearth"
