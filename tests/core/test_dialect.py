import pytest

from hearth.core.dialect import DIALECTS, PROBE_TOKENS, detect


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("qwen2.5-coder:1.5b-base", "qwen"),
        ("Qwen/Qwen2.5-Coder-7B-Instruct-GGUF", "qwen"),
        ("qwen3-coder:30b", "qwen"),
        ("codeqwen:7b", "starcoder"),
        ("starcoder2:3b", "starcoder"),
        ("bigcode/starcoder", "starcoder1"),
        ("codellama:7b-code", "codellama"),
        ("CodeLlama-7b-hf", "codellama"),
        ("deepseek-coder-v2:16b", "deepseek"),
        ("DeepSeekCoder-1.3B", "deepseek"),
        ("codestral:22b", "codestral"),
        ("codegemma:2b-code", "codegemma"),
        ("granite-code:3b", "starcoder1"),
        ("granite-3.3-8b-instruct", "starcoder1"),
        ("granite4:tiny-h", "granite"),
        ("ibm/granite-4.0-h-tiny", "granite"),
        ("llama3.2:3b", ""),
        ("qwen2.5:7b", ""),
        ("", ""),
    ],
)
def test_family_by_name(name, dialect):
    assert detect(name) == dialect


@pytest.mark.parametrize("name", DIALECTS)
def test_family_by_vocabulary_whatever_the_model_is_called(name):
    """Each family's own FIM tokens and marks identify it, even under a misleading name."""
    dialect = DIALECTS[name]
    assert detect("model.gguf", (*dialect.fim_tokens, *dialect.marks)) == name
    if dialect.marks:
        assert detect("codestral", (*dialect.fim_tokens, *dialect.marks)) == name


def test_bare_tokens_are_settled_by_the_name_then_by_what_is_usual():
    bare = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    assert detect("codegemma:2b", bare) == "codegemma"
    assert detect("granite4:3b", bare) == "granite"
    assert detect("model.gguf", bare) == "qwen"
    assert detect("m", ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")) == "starcoder"


def test_a_known_vocabulary_without_fim_tokens_beats_a_promising_name():
    assert detect("qwen2.5-coder", ()) == ""
    assert detect("qwen2.5-coder", ("<|fim_prefix|>",)) == ""
    assert detect("qwen2.5-coder", None) == "qwen"


def test_family_by_template():
    assert detect("mine", template="<PRE> {{- .Prompt }} <SUF>{{- .Suffix }} <MID>") == "codellama"
    assert detect("mine", template="[SUFFIX]{{ .Suffix }}[PREFIX] {{ .Prompt }}") == "codestral"
    assert detect("codellama:7b-code", ("▁<PRE>", "▁<SUF>", "▁<MID>")) == "codellama"


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_table_is_coherent(dialect):
    assert set(dialect.fim_tokens) <= set(dialect.tokens)
    assert set(dialect.stops) <= set(dialect.tokens)
    assert set(dialect.fim_tokens) <= set(PROBE_TOKENS)
    assert len(set(dialect.stops)) == len(dialect.stops) >= 4
    assert dialect.file == "" or dialect.file.format(path="a/{b}.py").count("a/{b}.py") == 1
    assert dialect.repo == "" or "r" in dialect.repo.format(repo="r")
    assert dialect.middle or dialect.order == "spm"
    # A stop that is part of another token would end an answer in the middle of that token's text.
    assert not any(a != b and a in b and not b.startswith("▁") for a in dialect.stops for b in dialect.tokens)
