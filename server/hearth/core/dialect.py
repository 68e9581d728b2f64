"""Fill-in-the-middle dialects: the one table of the token families that code models are trained with.

A model of the wrong family reads the tokens as plain text and answers nonsense, so the family is taken from the model's
own vocabulary or template wherever the server shows them, and from its name only as the last resort.

Sources: the model cards and tokenizer configurations of each family; the layout of several files in one prompt follows
each family's training format where it is published.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one family marks the text before (`prefix`) and after (`suffix`) the place where the model writes.

    `psm`: prefix + BEFORE + suffix + AFTER + middle, and typed text goes after that.
    `spm`: suffix + AFTER + prefix + BEFORE + middle; `middle` may be empty, then typed text just extends BEFORE.
    The strings are complete with the spaces that the family wants around them.

    `repo` and `file` are `str.format` templates with `{repo}` and `{path}`; "" means that the family has no token for
    it and a path is best written as a comment of the language. `path_inside`: the current file's header goes right
    after `prefix` (StarCoder 2) instead of before it. `file_end` closes a file that is followed by another one.
    `stops` are the tokens that end an answer, most likely first: a server that takes only four gets the first four.
    `tokens` is every special token that must never reach the editor, whole or in part: `extra` are those of them that
    are neither FIM tokens nor stops.
    """

    name: str
    prefix: str
    suffix: str
    middle: str
    order: Literal["psm", "spm"]
    repo: str
    file: str
    stops: tuple[str, ...]
    extra: tuple[str, ...] = ()
    path_inside: bool = False
    file_end: str = "\n"
    marks: tuple[str, ...] = ()
    """Tokens that tell this family from others which share its three FIM tokens."""
    names: str = ""
    """Regular expression over the lower-case model name."""

    @property
    def fim_tokens(self) -> tuple[str, ...]:
        """The FIM tokens alone, without spaces: what the vocabulary must contain, each as one token."""
        return tuple(token.strip() for token in (self.prefix, self.suffix, self.middle) if token.strip())

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every special token of the family, each once."""
        return tuple(dict.fromkeys((*self.fim_tokens, *self.stops, *self.extra)))


_ALL = (
    Dialect(
        name="codegemma",
        prefix="<|fim_prefix|>",
        suffix="<|fim_suffix|>",
        middle="<|fim_middle|>",
        order="psm",
        repo="",
        file="<|file_separator|>{path}\n",
        stops=("<|file_separator|>", "<eos>", "<end_of_turn>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        extra=("<start_of_turn>", "<bos>", "<pad>"),
        marks=("<|file_separator|>",),
        names=r"codegemma",
    ),
    Dialect(
        name="granite",
        prefix="<|fim_prefix|>",
        suffix="<|fim_suffix|>",
        middle="<|fim_middle|>",
        order="psm",
        repo="<|reponame|>{repo}\n",
        file="<|filename|>{path}\n",
        stops=("<|end_of_text|>", "<|filename|>", "<|fim_pad|>", "<|fim_prefix|>", "<|reponame|>", "<|fim_suffix|>"),
        extra=("<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"),
        marks=("<|end_of_text|>", "<|start_of_role|>", "<|filename|>"),
        names=r"granite-?4|granite(?!.*(code|-?3))",
    ),
    Dialect(
        name="qwen",
        prefix="<|fim_prefix|>",
        suffix="<|fim_suffix|>",
        middle="<|fim_middle|>",
        order="psm",
        repo="<|repo_name|>{repo}\n",
        file="<|file_sep|>{path}\n",
        stops=("<|endoftext|>", "<|file_sep|>", "<|fim_pad|>", "<|fim_prefix|>", "<|im_end|>", "<|repo_name|>"),
        extra=("<|fim_suffix|>", "<|fim_middle|>", "<|im_start|>"),
        marks=("<|file_sep|>", "<|repo_name|>", "<|im_start|>"),
        names=r"(?<!code)qwen.*coder",
    ),
    Dialect(
        name="starcoder",
        prefix="<fim_prefix>",
        suffix="<fim_suffix>",
        middle="<fim_middle>",
        order="psm",
        repo="<repo_name>{repo}",
        file="<file_sep>{path}\n",
        path_inside=True,
        file_end="",
        stops=("<|endoftext|>", "<file_sep>", "<fim_pad>", "<fim_prefix>", "<repo_name>", "<fim_suffix>"),
        extra=("<fim_middle>", "<issue_start>", "<jupyter_start>", "<jupyter_code>"),
        marks=("<file_sep>", "<repo_name>"),
        names=r"starcoder-?2|codeqwen",
    ),
    Dialect(
        name="starcoder1",
        prefix="<fim_prefix>",
        suffix="<fim_suffix>",
        middle="<fim_middle>",
        order="psm",
        repo="<reponame>{repo}",
        file="<filename>{path}\n",
        path_inside=True,
        file_end="",
        stops=("<|endoftext|>", "<|end_of_text|>", "<filename>", "<fim_pad>", "<fim_prefix>", "<reponame>"),
        extra=("<fim_suffix>", "<fim_middle>", "<gh_stars>", "<issue_start>", "<commit_before>", "<|start_of_role|>"),
        marks=("<filename>", "<reponame>"),
        names=r"starcoder|stable-?code|granite.*(code|-?3)",
    ),
    Dialect(
        name="codellama",
        prefix="<PRE> ",
        suffix=" <SUF>",
        middle=" <MID>",
        order="psm",
        repo="",
        file="",
        stops=("<EOT>", "</s>", "<PRE>", "<SUF>", "<MID>"),
        extra=("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>", "<s>", "[INST]", "[/INST]"),
        names=r"code-?llama",
    ),
    Dialect(
        name="deepseek",
        prefix="<｜fim▁begin｜>",
        suffix="<｜fim▁hole｜>",
        middle="<｜fim▁end｜>",
        order="psm",
        repo="",
        file="#{path}\n",
        path_inside=True,
        stops=("<｜end▁of▁sentence｜>", "<|EOT|>", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
        extra=("<｜begin▁of▁sentence｜>", "<|fim▁begin|>", "<|fim▁hole|>", "<|fim▁end|>"),
        names=r"deepseek-?coder",
    ),
    Dialect(
        name="codestral",
        prefix="[PREFIX]",
        suffix="[SUFFIX]",
        middle="",
        order="spm",
        repo="",
        file="+++++ {path}\n",
        path_inside=True,
        stops=("</s>", "[SUFFIX]", "[PREFIX]", "[MIDDLE]", "[INST]"),
        extra=("[/INST]", "<s>"),
        names=r"codestral",
    ),
)

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}
"""By name. `starcoder1` (StarCoder 1, Granite Code and Granite 3) is found by `auto` only."""

PROBE_TOKENS: tuple[str, ...] = tuple(dict.fromkeys(t for d in _ALL for t in (*d.fim_tokens, *d.marks)))
"""What to look for in a vocabulary so that `detect` can tell every family from the others."""


def detect(model_name: str, vocabulary_tokens: Collection[str] | None = None, template: str = "") -> str:
    """Name of the model's dialect, "" if none is known.

    `vocabulary_tokens`: those of PROBE_TOKENS which the model really has as one token each; None where the server does
    not tell. A known vocabulary without FIM tokens means that the model cannot fill in, whatever it is called.
    """
    known = {token.replace("▁<", "<") for token in vocabulary_tokens or ()}
    found = {token for token in PROBE_TOKENS if token in known or token in template}
    fits = [dialect for dialect in _ALL if all(token in found for token in dialect.fim_tokens)]
    named = [dialect for dialect in _ALL if dialect.names and re.search(dialect.names, model_name.lower())]
    if fits:
        # Most of a family's own marks wins; the name settles a tie, then the table's order.
        score = {d.name: sum(mark in found for mark in d.marks) / max(1, len(d.marks)) for d in fits}
        best = [d for d in fits if score[d.name] == max(score.values())]
        return next((d.name for d in best if d in named), best[0].name if max(score.values()) else _plain(fits))
    if vocabulary_tokens is not None:
        return ""
    return named[0].name if named else ""


def _plain(fits: list[Dialect]) -> str:
    """The family for a bare set of FIM tokens: Qwen's spelling is by far the most used of those that share it."""
    names = [dialect.name for dialect in fits]
    return "qwen" if "qwen" in names else names[0]
