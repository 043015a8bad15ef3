"""Two checkpoints side by side: config, tensors, tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.core.json_text import finite

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint


@dataclass(frozen=True)
class Difference:
    """What two checkpoints do not share; values are (first, second)."""

    config: dict[str, tuple[Any, Any]]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    changed: dict[str, tuple[tuple[str, tuple[int, ...]], tuple[str, tuple[int, ...]]]]
    """Tensors of other dtype or shape."""

    same: int
    """Tensors of the same name, dtype and shape."""

    tokenizer: dict[str, tuple[Any, Any]]

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.config or self.only_first or self.only_second or self.changed or self.tokenizer)


_ABSENT = "(absent)"


def difference(first: Checkpoint, second: Checkpoint) -> Difference:
    """Compare by name; tensors by dtype and shape, not by value."""
    here = {tensor.name: (tensor.dtype, tensor.shape) for tensor in first.tensors}
    there = {tensor.name: (tensor.dtype, tensor.shape) for tensor in second.tensors}
    common = here.keys() & there.keys()
    changed = {name: (here[name], there[name]) for name in sorted(common) if here[name] != there[name]}
    return Difference(
        config=_mappings(_config(first), _config(second)),
        only_first=tuple(sorted(here.keys() - there.keys())),
        only_second=tuple(sorted(there.keys() - here.keys())),
        changed=changed,
        same=len(common) - len(changed),
        tokenizer=_mappings(_tokenizer(first), _tokenizer(second)),
    )


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    return checkpoint.config.mapping if checkpoint.config is not None else {}


def _tokenizer(checkpoint: Checkpoint) -> dict[str, Any]:
    found = checkpoint.tokenizer
    if found is None:
        return {}
    return {
        "class": found.tokenizer_class,
        "size": found.size,
        "max_id": found.max_id,
        "lowercases": found.lowercases,
        "files": list(found.files),
    }


def _mappings(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = list(first) + [key for key in second if key not in first]
    pairs = {key: (first.get(key, _ABSENT), second.get(key, _ABSENT)) for key in keys}
    return {key: pair for key, pair in pairs.items() if finite(pair[0]) != finite(pair[1])}


def to_json(found: Difference, first: str, second: str) -> dict[str, Any]:
    """The object for `diff --json`."""
    return {
        "schema": 1,
        "paths": [first, second],
        "same": not found.any,
        "config": {key: finite(list(pair)) for key, pair in found.config.items()},
        "tensors": {
            "same": found.same,
            "only_first": list(found.only_first),
            "only_second": list(found.only_second),
            "changed": {
                name: [{"dtype": dtype, "shape": list(shape)} for dtype, shape in pair]
                for name, pair in found.changed.items()
            },
        },
        "tokenizer": {key: list(pair) for key, pair in found.tokenizer.items()},
    }
