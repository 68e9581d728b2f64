"""What of a chunk, and of a question, is given to an embedding model.

Some models were trained with words before the text that say which of the two it is; without them they find less. They
are documented on each model's card. A chunk is preceded by its path and the definition that it is part of.
"""

import math
from collections.abc import Sequence

TEXT_VERSION = 1
"""Part of a vector's identity: raise it when the same chunk gives another text."""
HEAD_CHARS_MAX = 300
QUESTION_CHARS_MAX = 2_000
DIGITS = 6

_PREFIXES: tuple[tuple[str, str, str], ...] = (
    # (part of the model's name, before a chunk, before a question); the first that fits
    ("nomic-embed-code", "", "Represent this query for searching relevant code: "),
    ("nomic-embed", "search_document: ", "search_query: "),
    ("embeddinggemma", "title: none | text: ", "task: search result | query: "),
    ("qwen3-embedding", "", "Instruct: Given a question about a program, find the code that answers it\nQuery: "),
    ("mxbai-embed", "", "Represent this sentence for searching relevant passages: "),
    ("snowflake-arctic-embed2", "", "query: "),
    ("snowflake-arctic-embed", "", "Represent this sentence for searching relevant passages: "),
    ("bge-m3", "", ""),
    ("bge-", "", "Represent this sentence for searching relevant passages: "),
    ("e5-", "passage: ", "query: "),
)


def chunk_text(model: str, path: str, symbol: str, text: str, chars_max: int) -> str:
    """What is embedded of a chunk: at most `chars_max` characters, never blank."""
    head = f"{path}\n{symbol}" if symbol else path
    return f"{_prefixes(model)[0]}{head[:HEAD_CHARS_MAX]}\n{text}"[:chars_max]


def question_text(model: str, question: str) -> str:
    """What is embedded of a question."""
    return f"{_prefixes(model)[1]}{' '.join(question.split())[:QUESTION_CHARS_MAX]}"


def unit(vector: Sequence[float]) -> list[float] | None:
    """The vector with length 1, rounded to what a cosine needs; None if it points nowhere."""
    largest = max(map(abs, vector), default=0.0)
    if not largest or not math.isfinite(largest):
        return None
    # Divided twice: the squares of large numbers would be infinite, those of small ones nothing.
    scaled = [number / largest for number in vector]
    length = math.sqrt(math.fsum(number * number for number in scaled))
    return [round(number / length, DIGITS) for number in scaled]


def _prefixes(model: str) -> tuple[str, str]:
    name = model.casefold().replace("_", "-")
    return next(((chunk, question) for part, chunk, question in _PREFIXES if part in name), ("", ""))
