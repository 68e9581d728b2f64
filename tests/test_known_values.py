"""Known values are gathered from real files and an environment, within bounds, and never shown."""

import base64
import json
from pathlib import Path

import pytest

from hearth.core.redact import Redactor
from hearth.known_values import FILE_BYTES_MAX, known_values


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def finds(folder: Path, home: Path, value: str, environ: dict[str, str] | None = None) -> bool:
    out = Redactor(known_values([folder], environ or {}, home)).redact(f"x {value} y").text
    return value not in out


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    return folder, home


# No rule would mask this by itself.
VALUE = "kettle-moon-river"


@pytest.mark.parametrize(
    "name",
    ["API_KEY", "DB_PASSWORD", "github_token", "CLIENT_SECRET", "PGPASSWORD", "SENTRY_DSN", "MYAPP_AUTH_TOKEN", "KEY"],
)
def test_variables_with_secret_names(places: tuple[Path, Path], name: str):
    assert finds(*places, VALUE, {name: VALUE})
    assert not finds(*places, VALUE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", VALUE),
        ("PWD", VALUE),
        ("SSH_ASKPASS", VALUE),
        ("TOKEN_FILE", VALUE),
        ("SECRET_PATH", VALUE),
        ("API_KEY", "/run/secrets/the-key"),
        ("API_KEY", "production"),
        ("API_KEY", "short"),
        ("API_KEY", "${OTHER_VARIABLE}"),
    ],
)
def test_variables_that_hold_no_secret(places: tuple[Path, Path], name: str, value: str):
    assert not finds(*places, value, {name: value})


def test_the_password_of_an_address_in_any_variable(places: tuple[Path, Path]):
    environ = {"DATABASE": "postgres://app:kettle%2Dmoon-river@db/x"}
    assert finds(*places, "kettle%2Dmoon-river", environ)
    assert finds(*places, "kettle-moon-river", environ)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".env", f"DB_PASSWORD={VALUE}\n"),
        (".env", f'export DB_PASSWORD="{VALUE}"  # of the database\n'),
        (".env.local", f"# c\n\nDB_PASSWORD = '{VALUE}'\n"),
        ("deep/er/.env.production", f"API_TOKEN={VALUE}\n"),
        ("app.env", f"SECRET={VALUE} # comment\n"),
        (".npmrc", f"//npm.internal/:_authToken={VALUE}\n"),
        ("auth.json", json.dumps({"http-basic": {"a.b": {"username": "me", "password": VALUE}}})),
    ],
)
def test_files_of_the_workspace(places: tuple[Path, Path], file: str, text: str):
    write(places[0] / file, text)
    assert finds(*places, VALUE)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".netrc", f"machine a.b\n  login me\n  password {VALUE}\n"),
        (".aws/credentials", f"[default]\naws_access_key_id = x\naws_secret_access_key = {VALUE}\n"),
        (".pypirc", f"[pypi]\nusername = __token__\npassword = {VALUE}\n"),
        (".npmrc", f"//npm.internal/:_password={base64.b64encode(VALUE.encode()).decode()}\n"),
        (
            ".docker/config.json",
            json.dumps({"auths": {"a": {"auth": base64.b64encode(f"me:{VALUE}".encode()).decode()}}}),
        ),
        (".git-credentials", f"https://me:{VALUE}@git.internal\n"),
        (".pgpass", f"localhost:5432:app:me:{VALUE}\n"),
        (".config/gh/hosts.yml", f"a.b:\n    oauth_token: {VALUE}\n    user: me\n"),
        (".vault-token", f"{VALUE}\n"),
        (".cargo/credentials.toml", f'[registry]\ntoken = "{VALUE}"\n'),
        (".kube/config", f"users:\n- name: me\n  user:\n    token: {VALUE}\n"),
    ],
)
def test_stores_of_the_user(places: tuple[Path, Path], file: str, text: str):
    write(places[1] / file, text)
    assert finds(*places, VALUE)


def test_values_that_look_made_count_in_env_files_whatever_their_name(places: tuple[Path, Path]):
    write(places[0] / ".env", "DEBUG=true\nPORT=8080\nHOST=service.internal.name\nSOMETHING=q8w7e6r5t4y3u2i1o0\n")
    assert finds(*places, "q8w7e6r5t4y3u2i1o0")
    assert not finds(*places, "service.internal.name")


def test_a_key_over_several_lines(places: tuple[Path, Path]):
    write(places[0] / ".env", 'SIGNING_KEY="first-line-of-it\nsecond-line-of-it"\nOTHER=1\n')
    out = Redactor(known_values([places[0]], {}, places[1])).redact("x first-line-of-it\\nsecond-line-of-it y").text
    assert "second-line" not in out or "first-line" not in out


def test_templates_and_what_is_passed_over(places: tuple[Path, Path]):
    for file in (".env.example", ".env.sample", "node_modules/a/.env", ".git/.env", "a/b/c/d/e/.env"):
        write(places[0] / file, f"API_TOKEN={VALUE}\n")
    assert not finds(*places, VALUE)


def test_what_cannot_be_read_is_passed_over(places: tuple[Path, Path]):
    folder, home = places
    (folder / ".env").mkdir()
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_bytes(b"\xff\xfe{")
    (home / ".npmrc").write_bytes(b"\x00\xff\x00")
    (home / ".pypirc").symlink_to(home / "nowhere")
    write(home / ".netrc", " " * FILE_BYTES_MAX + f" password {VALUE}")
    write(folder / "b.env", "TOKEN=lantern-orchid-9\n")
    assert finds(folder, home, "lantern-orchid-9")
    assert not finds(folder, home, VALUE)
    assert len(known_values([folder / "missing"], {}, home / "missing")) == 0


def test_values_are_not_shown(places: tuple[Path, Path]):
    known = known_values([places[0]], {"API_KEY": VALUE}, places[1])
    assert len(known) == 1
    assert VALUE not in f"{known!r} {known}"
