"""What the names in a directory tell of TensorFlow, before any file is opened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.core.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.core.checkpoint import FileReport
    from tui.core.problems import Problem

SAVED_MODEL_NAMES = frozenset({"saved_model.pb", "saved_model.pbtxt"})
BELOW = frozenset({"variables", "assets", "assets.extra"})
"""Directories that are a part of the SavedModel above them."""

SHARD = re.compile(r"^(?P<prefix>.*)\.data-(?P<shard>\d{5})-of-(?P<count>\d{5})$", re.DOTALL)


class Parts(Record, frozen=True):
    """What a directory holds of TensorFlow."""

    kind: str
    files: tuple[FileReport, ...] = ()
    problems: tuple[Problem, ...] = ()


def is_saved_model(names: Iterable[str]) -> bool:
    """Whether the entries of a directory make it a SavedModel."""
    return not SAVED_MODEL_NAMES.isdisjoint(names)


def prefixes(names: Iterable[str]) -> tuple[str, ...]:
    """Prefixes of the tensor bundles among the names, the index or the shards being enough; the empty one counts."""
    entries = frozenset(names)
    found: set[str] = set()
    for name in entries:
        match = SHARD.match(name) if ".data-" in name else None
        if match is not None:
            found.add(match["prefix"])
    found |= {name[:-6] for name in entries if name.endswith(".index") and _goes_with(name[:-6], entries)}
    return tuple(sorted(found, key=_natural))


def _goes_with(prefix: str, entries: frozenset[str]) -> bool:
    """Whether an index without shards is a checkpoint's all the same: by what lies beside it, or its name."""
    return f"{prefix}.meta" in entries or ".ckpt" in prefix or prefix.startswith("ckpt")


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key in which `ckpt-10` comes after `ckpt-9`."""
    parts = re.split(r"(\d+)", text)
    return [(int(part[:18]), "") if part.isdigit() else (-1, part) for part in parts]


def v1_names(names: Iterable[str]) -> tuple[str, ...]:
    """Files that a `checkpoint` file and a `.meta` beside them show to be checkpoints of one table."""
    entries = frozenset(names)
    if "checkpoint" not in entries:
        return ()
    return tuple(sorted(name for name in entries if f"{name}.meta" in entries and f"{name}.index" not in entries))
