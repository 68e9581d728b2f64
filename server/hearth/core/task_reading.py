"""What a model's JSON answers mean for a task: impacted files, and the plan. Paths are made ours, odd ones left out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from hearth.core.task_guard import unfit
from hearth.core.task_parts import Impacted, Step
from hearth.core.task_protocol import STEP_FILES_MAX

REASON_CHARS_MAX = 300
TITLE_CHARS_MAX = 200
ITEMS_MAX = 100


def texts_of(found: Mapping[str, Any], key: str) -> list[str]:
    """The texts of a list, on one line each, none empty."""
    value = found.get(key)
    texts = cast(list[object], value)[:ITEMS_MAX] if isinstance(value, list) else []
    return [" ".join(str(one).split())[:REASON_CHARS_MAX] for one in texts if str(one).strip()]


def path_of(text: str) -> str:
    """A path as ours are; "" for one that none of ours can be."""
    path = text.strip().strip("`'\"").replace("\\", "/").removeprefix("./")
    return "" if unfit(path) else path


def items_of(found: Mapping[str, Any], key: str) -> list[str]:
    """The paths of a list."""
    return [path for one in texts_of(found, key) if (path := path_of(one))]


def impact_of(known: Sequence[Impacted], found: Mapping[str, Any]) -> tuple[Impacted, ...]:
    """The impacted files, with what the model added and waived. Without a reason nothing is waived."""
    files = {one.path: one for one in known}
    for path, reason in _reasoned(found, "add"):
        old = files.get(path)
        files[path] = (
            replace(old, sure=True) if old else Impacted(path, reason or "the model says so", True, by="model")
        )
    for path, reason in _reasoned(found, "waive"):
        if path in files and reason:
            files[path] = replace(files[path], waived=reason)
    return tuple(files.values())


def _reasoned(found: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    value = found.get(key)
    pairs: list[tuple[str, str]] = []
    for one in cast(list[object], value)[:ITEMS_MAX] if isinstance(value, list) else []:
        table = cast(dict[str, object], one) if isinstance(one, dict) else {}
        path = path_of(str(table.get("path", "")))
        reason = " ".join(str(table.get("reason", "")).split())[:REASON_CHARS_MAX]
        if path:
            pairs.append((path, reason))
    return pairs


def plan_of(found: Mapping[str, Any]) -> list[Step]:
    """The steps of a plan; those without a file are left out."""
    value = found.get("steps")
    steps: list[Step] = []
    for one in cast(list[object], value)[:ITEMS_MAX] if isinstance(value, list) else []:
        table = cast(dict[str, Any], one) if isinstance(one, dict) else {}
        files = tuple(dict.fromkeys(items_of(table, "files")))[:STEP_FILES_MAX]
        title = " ".join(str(table.get("title", "")).split())[:TITLE_CHARS_MAX]
        check = " ".join(str(table.get("check", "")).split())[:TITLE_CHARS_MAX]
        if files:
            steps.append(Step(title or "Change " + ", ".join(files), files, check))
    return steps
