"""The one source of Hearth's settings.

`parse(raw)` turns any JSON-like value into (Settings, problems): a bad value falls back to its default and is named in
`problems`; it never raises. `package.json` and the README's table are generated from `OPTIONS` by `scripts/gen`.
Settings that name an endpoint, a key, a command or a policy come from the machine scope only (settings.toml, or the
client's global settings): nothing here is ever read from a workspace.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

import platformdirs

BACKEND_KINDS = ("llamacpp", "ollama", "openai", "embedded", "scripted")
FIM_CHOICES = (
    "auto",
    "qwen",
    "starcoder",
    "codellama",
    "deepseek",
    "codestral",
    "codegemma",
    "granite",
    "none",
)
ROLES = ("complete", "chat", "embed")
DEFAULT_ROLES = ("complete", "chat")
BACKENDS_MAX = 16
SETTINGS_FILE_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """One `[[backends]]` entry. For kind `embedded`, `model` is the path of a GGUF file and `url` stays empty."""

    kind: Literal["llamacpp", "ollama", "openai", "embedded", "scripted"]
    url: str = ""
    model: str = ""
    fim: str = "auto"
    roles: tuple[str, ...] = DEFAULT_ROLES
    api_key_env: str = ""
    context_tokens: int = 8192


@dataclass(frozen=True, slots=True)
class CompletionSettings:
    enabled: bool = True
    languages_off: tuple[str, ...] = ()
    max_lines: int = 12
    in_comments: bool = True
    in_strings: bool = True


@dataclass(frozen=True, slots=True)
class CloudSettings:
    enabled: bool = False
    base_url: str = "https://openrouter.ai/api/v1"
    api_key_env: str = "OPENROUTER_API_KEY"
    models: tuple[str, ...] = ()
    budget_per_day: float = 0.50
    approval: str = "each"


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    never: tuple[str, ...] = ()
    own_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexSettings:
    enabled: bool = True
    qdrant_url: str = ""
    qdrant_api_key_env: str = ""
    embedding_model: str = ""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    web_url: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    backends: tuple[BackendSettings, ...] = ()
    completion: CompletionSettings = field(default_factory=CompletionSettings)
    cloud: CloudSettings = field(default_factory=CloudSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    chat: ChatSettings = field(default_factory=ChatSettings)


@dataclass(frozen=True, slots=True)
class Option:
    """One key under a section: how to check it, and what the editor's settings page says about it."""

    section: str
    key: str
    schema: Mapping[str, Any]  # JSON schema, without description and default
    doc: str


def _strings(**extra: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", **extra}}


BACKEND_OPTIONS: tuple[Option, ...] = (
    Option("backends", "kind", {"type": "string", "enum": list(BACKEND_KINDS[:-1])}, "Which wire format the server speaks; openai covers LM Studio, vLLM, TabbyAPI and any compatible server."),
    Option("backends", "url", {"type": "string"}, "Where the server listens, for example http://127.0.0.1:8080."),
    Option("backends", "model", {"type": "string"}, "Model name; empty: the one the server has loaded. For embedded: the path of a GGUF file."),
    Option("backends", "fim", {"type": "string", "enum": list(FIM_CHOICES)}, "Family of fill-in-the-middle tokens; auto detects it from the model."),
    Option("backends", "roles", _strings(enum=list(ROLES)), "What this model is used for. A server with embed gets index.embedding_model; without one, the first that has it does."),
    Option("backends", "api_key_env", {"type": "string"}, "Name of the environment variable that holds the key, never the key itself."),
    Option("backends", "context_tokens", {"type": "integer", "minimum": 512, "maximum": 1_000_000}, "Context to ask of servers that take it per request (Ollama's num_ctx); the same in every request."),
)  # fmt: skip

OPTIONS: tuple[Option, ...] = (
    Option("completion", "enabled", {"type": "boolean"}, "Suggest code while you type."),
    Option("completion", "languages_off", _strings(), "Language ids in which nothing is suggested."),
    Option("completion", "max_lines", {"type": "integer", "minimum": 1, "maximum": 100}, "The most lines one suggestion may have."),
    Option("completion", "in_comments", {"type": "boolean"}, "Suggest text inside comments."),
    Option("completion", "in_strings", {"type": "boolean"}, "Suggest text inside strings."),
    Option("cloud", "enabled", {"type": "boolean"}, "Allow tasks to be sent to the cloud after you approve each one. Off: nothing leaves the machine."),
    Option("cloud", "base_url", {"type": "string"}, "The cloud service's address."),
    Option("cloud", "api_key_env", {"type": "string"}, "Name of the environment variable that holds the cloud key, never the key itself."),
    Option("cloud", "models", _strings(), "Models to use, best first; empty: free coding models from the live catalogue."),
    Option("cloud", "budget_per_day", {"type": "number", "minimum": 0}, "Most that may be spent in a day, in USD; a hard limit."),
    Option("cloud", "approval", {"type": "string", "enum": ["each", "session", "workspace"]}, "How long one approval lasts."),
    Option("privacy", "never", _strings(), "Globs of files that never leave the machine, beside ignore files and the built-in list of secrets."),
    Option("privacy", "own_hosts", _strings(), "Hosts beside this machine that are yours, for example a model server in your network."),
    Option("index", "enabled", {"type": "boolean"}, "Read the workspace in the background so that suggestions know the project."),
    Option("index", "qdrant_url", {"type": "string"}, "A Qdrant server to share one index; empty: embedded."),
    Option("index", "qdrant_api_key_env", {"type": "string"}, "Name of the environment variable that holds the Qdrant server's key, never the key itself."),
    Option("index", "embedding_model", {"type": "string"}, "Embedding model of one of your model servers, for chat search; empty: lexical search only."),
    Option("chat", "web_url", {"type": "string"}, "Address of a SearXNG or Perplexica of your own, for @web, for example http://127.0.0.1:8888; empty: no web search."),
)  # fmt: skip

SECTIONS: dict[str, Callable[[], Any]] = {
    "completion": CompletionSettings,
    "cloud": CloudSettings,
    "privacy": PrivacySettings,
    "index": IndexSettings,
    "chat": ChatSettings,
}


def parse(raw: object) -> tuple[Settings, list[str]]:
    """Settings from a JSON-like value, and one sentence for each thing in it that was not used."""
    problems: list[str] = []
    table = _table(raw, "settings", problems)
    values: dict[str, Any] = {}
    for name, make in SECTIONS.items():
        if name in table:
            options = tuple(o for o in OPTIONS if o.section == name)
            values[name] = _section(table[name], name, options, make(), problems)
    if "backends" in table:
        values["backends"] = _backends(table["backends"], problems)
    # `workspace_trusted` travels in initializationOptions beside the settings but is not one.
    known = {*SECTIONS, "backends", "workspace_trusted"}
    problems += [f"{key}: unknown setting, ignored" for key in table if key not in known]
    return Settings(**values), problems


def overlay(below: object, above: object) -> dict[str, Any]:
    """Two raw tables merged by section and key; `above` wins, lists are replaced whole."""
    merged = dict(cast(dict[str, Any], below)) if isinstance(below, dict) else {}
    if isinstance(above, dict):
        for key, value in cast(dict[str, Any], above).items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = {**merged[key], **value} if both else value
    return merged


def load(config_dir: Path) -> tuple[dict[str, Any], list[str]]:
    """The raw table of `settings.toml` in `config_dir` (empty if there is none), and problems in reading it."""
    path = config_dir / "settings.toml"
    try:
        with path.open("rb") as stream:
            data = stream.read(SETTINGS_FILE_BYTES_MAX + 1)
        if len(data) > SETTINGS_FILE_BYTES_MAX:
            return {}, [f"{path}: larger than {SETTINGS_FILE_BYTES_MAX} bytes, defaults used"]
        return tomllib.loads(data.decode("utf-8")), []
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return {}, [f"{path}: {error}; defaults used"]


def config_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Where settings.toml lives: `$HEARTH_CONFIG_DIR`, else the platform's user configuration directory."""
    return Path(env.get("HEARTH_CONFIG_DIR") or platformdirs.user_config_dir("hearth", appauthor=False))


def data_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Where caches, logs and the ledger live: `$HEARTH_DATA_DIR`, else the platform's user data directory."""
    return Path(env.get("HEARTH_DATA_DIR") or platformdirs.user_data_dir("hearth", appauthor=False))


def defaults_of(option: Option) -> Any:
    """The JSON default of an option."""
    source = BackendSettings(kind="llamacpp") if option.section == "backends" else SECTIONS[option.section]()
    value = getattr(source, option.key)
    return list(cast(tuple[object, ...], value)) if isinstance(value, tuple) else value


def _table(raw: object, name: str, problems: list[str]) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        problems.append(f"{name}: expected a table, got {type(raw).__name__}; defaults used")
        return {}
    return {str(key): value for key, value in cast(dict[Any, Any], raw).items()}


def _section(raw: object, name: str, options: tuple[Option, ...], default: Any, problems: list[str]) -> Any:
    table = _table(raw, name, problems)
    by_key = {o.key: o for o in options}
    values: dict[str, Any] = {}
    for key, value in table.items():
        label = f"{name}.{key}"
        if key not in by_key:
            problems.append(f"{label}: unknown setting, ignored")
        elif wrong := _check(value, by_key[key].schema):
            problems.append(f"{label}: {wrong}; using {getattr(default, key)!r}")
        else:
            values[key] = tuple(cast(list[Any], value)) if isinstance(value, list) else value
    return replace(default, **values)


def _backends(raw: object, problems: list[str]) -> tuple[BackendSettings, ...]:
    if not isinstance(raw, list):
        problems.append("backends: expected a list; probing the well-known ports instead")
        return ()
    entries = cast(list[object], raw)
    if len(entries) > BACKENDS_MAX:
        problems.append(f"backends: only the first {BACKENDS_MAX} are used")
    result: list[BackendSettings] = []
    for number, entry in enumerate(entries[:BACKENDS_MAX]):
        name = f"backends[{number}]"
        table = _table(entry, name, problems)
        kind = table.pop("kind", None)
        if kind not in BACKEND_KINDS:
            problems.append(f"{name}.kind: expected one of {', '.join(BACKEND_KINDS[:-1])}; entry ignored")
            continue
        checked = _section(table, name, BACKEND_OPTIONS[1:], BackendSettings(kind=kind), problems)
        result.append(checked)
    return tuple(result)


def _check(value: object, schema: Mapping[str, Any]) -> str:
    """Why `value` does not fit the (small) JSON schema; "" if it does."""
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "number": (int, float),
        "array": (list,),
    }
    kind = cast(str, schema["type"])
    if not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"expected {'a list' if kind == 'array' else kind}, got {type(value).__name__}"
    if "enum" in schema and value not in schema["enum"]:
        return f"expected one of {', '.join(schema['enum'])}"
    if isinstance(value, (int, float)) and not _within(value, schema):
        return f"out of range {schema.get('minimum', '')}..{schema.get('maximum', '')}"
    if isinstance(value, list):
        for item in cast(list[object], value):
            if wrong := _check(item, schema["items"]):
                return f"in the list: {wrong}"
    return ""


def _within(value: float, schema: Mapping[str, Any]) -> bool:
    """NaN is within nothing."""
    return schema.get("minimum", float("-inf")) <= value <= schema.get("maximum", float("inf"))


def unused_fields() -> set[str]:
    """Section fields without an Option: must be empty, a test checks it."""
    declared = {(o.section, o.key) for o in OPTIONS} | {("backends", o.key) for o in BACKEND_OPTIONS}
    have = {(name, f.name) for name, make in SECTIONS.items() for f in fields(make())}
    have |= {("backends", f.name) for f in fields(BackendSettings(kind="llamacpp"))}
    return {f"{section}.{key}" for section, key in have ^ declared}
