"""Which model class a file's tensor names belong to, from an index of the names that every class stores.

The index (`families.json.gz`) was made with the library named in it; it needs no library to be read.
"""

from __future__ import annotations

import gzip
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from tui.core.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGITS = re.compile(r"(?<![^.])\d+(?![^.])")
_WRAPPERS = ("", "module.", "_orig_mod.", "model.")
_COMMON = (
    "bert", "roberta", "distilbert", "gpt2", "t5", "llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "mixtral",
    "gemma2", "gemma3_text", "phi3", "deepseek_v3", "vit", "whisper", "clip", "electra", "albert",
    "xlm-roberta", "bart", "mt5",
)  # fmt: skip
"""Of classes that store the same names, those that most files come from are tried first."""

LEAST = 0.35
"""A likeness below this is chance: most classes share a few names."""


class Family(Record, frozen=True):
    """A class of transformers whose stored tensor names resemble the file's."""

    model_type: str
    model_class: str
    likeness: float
    """Names in common as a share of those in the file and those that the class always stores, 0 to 1."""

    wrapper: str = ""
    """The prefix that was taken off every name before the comparison."""


class _Index(msgspec.Struct):
    library: str
    patterns: list[str]
    families: list[tuple[str, str, list[int], list[int]]]


@cache
def _index() -> _Index:
    data = gzip.decompress(files("tui.core").joinpath("families.json.gz").read_bytes())
    return msgspec.json.decode(data, type=_Index)


@cache
def _sets() -> tuple[dict[str, int], list[tuple[str, str, frozenset[int], frozenset[int]]]]:
    index = _index()
    place = {pattern: number for number, pattern in enumerate(index.patterns)}
    return place, [(kind, name, frozenset(always), frozenset(some)) for kind, name, always, some in index.families]


def library() -> str:
    """The library and version that the index was made with."""
    return _index().library


def rank(names: Iterable[str], most: int = 12) -> list[Family]:
    """The classes that these tensor names resemble, likest first; empty where they resemble none."""
    every = list(names)
    for wrapper in _WRAPPERS:
        stripped = [name.removeprefix(wrapper) for name in every] if wrapper else every
        if wrapper and stripped == every:
            continue
        found = _rank({_DIGITS.sub("*", name) for name in stripped}, wrapper)
        if found:
            return found[:most]
    return []


def _rank(patterns: set[str], wrapper: str) -> list[Family]:
    place, families = _sets()
    known = frozenset(place[pattern] for pattern in patterns if pattern in place)
    if not known:
        return []
    foreign = len(patterns) - len(known)
    out = []
    for model_type, name, always, sometimes in families:
        shared = len(known & always) + len(known & sometimes)
        likeness = shared / (foreign + len(known | always))
        if likeness >= LEAST:
            out.append(Family(model_type, name, round(likeness, 4), wrapper))
    return sorted(out, key=_likest_first)


def _likest_first(item: Family) -> tuple[float, int, str, str]:
    common = _COMMON.index(item.model_type) if item.model_type in _COMMON else len(_COMMON)
    return (-item.likeness, common, item.model_type, item.model_class)
