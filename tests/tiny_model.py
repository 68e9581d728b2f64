"""Writes a tiny GGUF model that a real engine loads in a moment: real architecture, real tokenizer, text of no worth.

`make_tiny_model(path)` takes some seconds and a few MB. Architecture qwen2; a byte-level BPE vocabulary trained on part
of the Python standard library, with Qwen's FIM tokens as control tokens. The embedding and output matrices come from
the bigram counts of the same text (a truncated SVD), so greedy decoding writes Python-like words; the layers between
are small random numbers from `seed`, so that attention, KV cache and latency are real. Control tokens and unprintable
bytes have an output row of zeros: the model never writes them and never ends by itself.

`big_model()` has the shape of a 0.5B qwen2 in q4_0, all of it random: what it says is noise, but what it costs is real.

Used by tests and by scripts/bench. Cached by its parameters in the repository's ignored `.cache/`.
"""

import collections
import itertools
import os
import re
import sysconfig
from pathlib import Path

import gguf
import numpy as np

VOCABULARY = 2_048
CORPUS_BYTES_MAX = 3_000_000
HEAD_WIDTH = 32
MERGE_COUNT_MIN = 3
LAYER_SCALE = 0.02
BIG_LAYERS, BIG_WIDTH, BIG_HEADS, BIG_KV_HEADS, BIG_INNER, BIG_VOCABULARY = 24, 896, 14, 2, 4_864, 151_936
BIG_CONTEXT = 8_192
Q4_WEIGHTS, Q4_BYTES = 32, 18
"""A block of q4_0: its scale as a half float, then the weights, two in a byte."""
Q4_SCALE = 0.004
FORMAT = 1
"""Raise it when the output changes: it is part of the cache's file name."""

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
    "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
WORDS = re.compile(r"[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

Pair = tuple[str, str]


def tiny_model(*, layers: int = 2, width: int = 128, context: int = 8192, seed: int = 1) -> Path:
    """The path of such a model, made now if the cache does not have it."""
    name = f"tiny-{FORMAT}-{layers}x{width}-{context}-{seed}.gguf"
    path = Path(__file__).resolve().parent.parent / ".cache" / "models" / name
    if not path.exists():
        make_tiny_model(path, layers=layers, width=width, context=context, seed=seed)
    return path


def big_model(*, seed: int = 1) -> Path:
    """The path of a random model of 0.5 billion weights (280 MB), made in seconds if the cache does not have it."""
    path = Path(__file__).resolve().parent.parent / ".cache" / "models" / f"big-{FORMAT}-{seed}.gguf"
    if not path.exists():
        make_big_model(path, seed=seed)
    return path


def make_big_model(path: Path, *, seed: int = 1) -> None:
    """Write it to `path`. Its tokenizer is the tiny model's; the rest of the vocabulary is never used in a prompt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    merges = _train(_corpus(), VOCABULARY - 256 - len(SPECIAL))
    tokens = [*_byte_characters().values(), *(a + b for a, b in merges), *SPECIAL]
    tokens += [f"[unused{n}]" for n in range(BIG_VOCABULARY - len(tokens))]
    random = np.random.default_rng(seed)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    writer = gguf.GGUFWriter(unfinished, "qwen2")
    shape = (BIG_HEADS, BIG_KV_HEADS, BIG_INNER)
    _metadata(writer, tokens, merges, BIG_LAYERS, BIG_WIDTH, BIG_CONTEXT, shape, gguf.LlamaFileType.MOSTLY_Q4_0)

    def matrix(name: str, rows: int, columns: int) -> None:
        blocks = random.integers(0, 256, (rows, columns // Q4_WEIGHTS, Q4_BYTES), np.uint8)
        blocks[:, :, :2] = np.array([Q4_SCALE], np.float16).view(np.uint8)
        writer.add_tensor(name, blocks.reshape(rows, -1), raw_dtype=gguf.GGMLQuantizationType.Q4_0)

    kv = BIG_WIDTH // BIG_HEADS * BIG_KV_HEADS
    matrix("token_embd.weight", BIG_VOCABULARY, BIG_WIDTH)
    writer.add_tensor("output_norm.weight", np.ones(BIG_WIDTH, np.float32))
    for n in range(BIG_LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{n}.{name}.weight", np.ones(BIG_WIDTH, np.float32))
        for name, rows in (("attn_q", BIG_WIDTH), ("attn_k", kv), ("attn_v", kv)):
            matrix(f"blk.{n}.{name}.weight", rows, BIG_WIDTH)
            writer.add_tensor(f"blk.{n}.{name}.bias", np.zeros(rows, np.float32))
        matrix(f"blk.{n}.attn_output.weight", BIG_WIDTH, BIG_WIDTH)
        matrix(f"blk.{n}.ffn_gate.weight", BIG_INNER, BIG_WIDTH)
        matrix(f"blk.{n}.ffn_up.weight", BIG_INNER, BIG_WIDTH)
        matrix(f"blk.{n}.ffn_down.weight", BIG_WIDTH, BIG_INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.replace(path)


def make_tiny_model(path: Path, *, layers: int = 2, width: int = 128, context: int = 8192, seed: int = 1) -> None:
    """Write the model to `path`. `width` is a multiple of 64."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _corpus()
    merges = _train(text, VOCABULARY - 256 - len(SPECIAL))
    pieces = [*_byte_characters().values(), *(a + b for a, b in merges)]
    tokens = [*pieces, *SPECIAL]
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    writer = gguf.GGUFWriter(unfinished, "qwen2")
    heads = width // HEAD_WIDTH
    shape = (heads, heads // 2, width * 3)
    _metadata(writer, tokens, merges, layers, width, context, shape, gguf.LlamaFileType.ALL_F32)
    for name, tensor in _tensors(text, tokens, merges, layers, width, seed).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.replace(path)


def _metadata(
    writer: gguf.GGUFWriter,
    tokens: list[str],
    merges: list[Pair],
    layers: int,
    width: int,
    context: int,
    shape: tuple[int, int, int],
    file_type: gguf.LlamaFileType,
) -> None:
    """`shape`: heads, heads of keys and values, width of the feed-forward layer."""
    heads, kv_heads, inner = shape
    writer.add_name("Hearth test model")
    writer.add_block_count(layers)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(file_type)
    special = set(SPECIAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([f"{a} {b}" for a, b in merges])
    writer.add_eos_token_id(tokens.index("<|endoftext|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _tensors(
    text: str, tokens: list[str], merges: list[Pair], layers: int, width: int, seed: int
) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    heads, inner = width // HEAD_WIDTH, width * 3
    kv = heads // 2 * HEAD_WIDTH

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (random.standard_normal((rows, columns)) * LAYER_SCALE).astype(np.float32)

    inputs, outputs = _bigram_factors(text, tokens, merges, width, random)
    ones = np.ones(width, np.float32)
    tensors = {"token_embd.weight": inputs, "output_norm.weight": ones, "output.weight": outputs}
    for n in range(layers):
        block = {
            "attn_norm.weight": ones,
            "attn_q.weight": matrix(width, width),
            "attn_q.bias": np.zeros(width, np.float32),
            "attn_k.weight": matrix(kv, width),
            "attn_k.bias": np.zeros(kv, np.float32),
            "attn_v.weight": matrix(kv, width),
            "attn_v.bias": np.zeros(kv, np.float32),
            "attn_output.weight": matrix(width, width),
            "ffn_norm.weight": ones,
            "ffn_gate.weight": matrix(inner, width),
            "ffn_up.weight": matrix(inner, width),
            "ffn_down.weight": matrix(width, inner),
        }
        tensors.update({f"blk.{n}.{name}": tensor for name, tensor in block.items()})
    return tensors


def _bigram_factors(
    text: str, tokens: list[str], merges: list[Pair], width: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(embedding, output): the logit of b after a is about the root of how often b follows a."""
    ids = {token: n for n, token in enumerate(tokens)}
    encode = _encoder(merges)
    counts = np.zeros((len(tokens), len(tokens)), np.float32)
    last = ids["\u010a"]  # the byte-level spelling of a line feed
    for word in WORDS.findall(text):
        for piece in encode(word):
            counts[last, ids[piece]] += 1
            last = ids[piece]
    roots = np.sqrt(counts)
    # A truncated SVD by random projection: exact enough here, and a second instead of many.
    basis = roots @ random.standard_normal((len(tokens), width)).astype(np.float32)
    basis, _ = np.linalg.qr(roots @ (roots.T @ basis))
    inputs = basis
    outputs = roots.T @ basis
    # Directions of little weight would be lost in the norm: a little noise keeps every token's input alive.
    inputs = inputs + random.standard_normal(inputs.shape) * 1e-4
    inputs /= np.sqrt((inputs**2).mean(axis=1, keepdims=True))
    printable = {c for b, c in _byte_characters().items() if 32 <= b < 127 or b == 10}
    for n, token in enumerate(tokens):
        if token in SPECIAL or not set(token) <= printable:
            outputs[n] = 0
    return inputs.astype(np.float32), outputs.astype(np.float32)


def _corpus() -> str:
    """Top-level modules of the standard library, in order of name, ASCII only."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    parts, size = [], 0
    for path in sorted(folder.glob("*.py")):
        text = path.read_bytes().decode("ascii", "ignore").replace("\r\n", "\n")
        parts.append(text)
        size += len(text)
        if size > CORPUS_BYTES_MAX:
            break
    return "".join(parts)


def _byte_characters() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte: itself where it is visible, else a character from U+0100 on."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in visible}
    hidden = [b for b in range(256) if b not in table]
    return {**table, **{b: chr(256 + n) for n, b in enumerate(hidden)}}


def _spell(word: str) -> tuple[str, ...]:
    table = _BYTE_CHARACTERS
    return tuple(table[b] for b in word.encode("utf-8"))


_BYTE_CHARACTERS = _byte_characters()


def _train(text: str, most: int) -> list[Pair]:
    """Byte-pair merges, most frequent first; ties in alphabetical order, so the result depends on the text alone."""
    counted = collections.Counter(WORDS.findall(text))
    words = [(list(_spell(word)), count) for word, count in counted.items() if count >= MERGE_COUNT_MIN]
    counts: collections.Counter[Pair] = collections.Counter()
    where: dict[Pair, set[int]] = collections.defaultdict(set)
    for n, (pieces, count) in enumerate(words):
        for pair in itertools.pairwise(pieces):
            counts[pair] += count
            where[pair].add(n)
    merges: list[Pair] = []
    while len(merges) < most and counts:
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for n in where.pop(best):
            pieces, count = words[n]
            for pair in itertools.pairwise(pieces):
                counts[pair] -= count
            _merge(pieces, best)
            for pair in itertools.pairwise(pieces):
                counts[pair] += count
                where[pair].add(n)
        del counts[best]
    return merges


def _merge(pieces: list[str], pair: Pair) -> None:
    n = 0
    while n < len(pieces) - 1:
        if (pieces[n], pieces[n + 1]) == pair:
            pieces[n : n + 2] = [pair[0] + pair[1]]
        n += 1


def _encoder(merges: list[Pair]):
    ranks = {pair: n for n, pair in enumerate(merges)}
    known: dict[str, list[str]] = {}

    def encode(word: str) -> list[str]:
        if word not in known:
            pieces = list(_spell(word))
            while len(pieces) > 1:
                best = min(itertools.pairwise(pieces), key=lambda pair: ranks.get(pair, len(ranks)))
                if best not in ranks:
                    break
                _merge(pieces, best)
            known[word] = pieces
        return known[word]

    return encode
