"""Which weight files `from_pretrained` would read, and what is wrong with the index that names them.

Mirrors `transformers` 5.23: `modeling_utils.py` `_get_resolved_checkpoint_files`, `utils/hub.py`
`get_checkpoint_shard_files`: the index's `metadata` must be there, the shards are the sorted set of the map's values,
and the map's keys are otherwise ignored.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tui.core.checkpoint import JsonFile, Weights
from tui.core.problems import Problem
from tui.core.text import count_of, listing, printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ORDER = (
    ("model.safetensors", "safetensors", False),
    ("model.safetensors.index.json", "safetensors", True),
    ("pytorch_model.bin", "bin", False),
    ("pytorch_model.bin.index.json", "bin", True),
)
MAX_SHARDS = 100_000


def resolve_weights(
    root: Path, entries: frozenset[str], documents: Mapping[str, JsonFile]
) -> tuple[list[Problem], Weights]:
    """Problems of the directory as a whole, and the files that the loader would open."""
    config = documents["config.json"].mapping if "config.json" in documents else {}
    explicit = config.get("transformers_weights")
    name = explicit if isinstance(explicit, str) else ""
    known = name.endswith((".safetensors", ".safetensors.index.json")) and os.path.basename(name) == name
    if known and name in entries:
        return [], _chosen(root, entries, documents, name, "safetensors", name.endswith(".json"))
    for name, kind, sharded in _ORDER:
        if name in entries and _is_file(os.path.join(root, name)):
            return [], _chosen(root, entries, documents, name, kind, sharded)
    dangling = [name for name, _, _ in _ORDER if name in entries and (root / name).is_symlink()]
    if dangling:
        target = os.readlink(root / dangling[0])
        problem = Problem(
            "hub-dangling-symlink",
            f"is a link to {target}, which does not exist",
            dangling[0],
            loader_error=_no_weights(root),
        )
        return [], Weights(problems=(problem,))
    return [], Weights()


def _is_file(path: str) -> bool:
    """`os.path.isfile`, without raising on odd names."""
    try:
        return os.path.isfile(path)
    except ValueError:
        return False


def _no_weights(root: Path) -> tuple[str, str]:
    return (
        "OSError",
        f"Error no file named model.safetensors, or pytorch_model.bin, found in directory {root}.",
    )


def _chosen(
    root: Path, entries: frozenset[str], documents: Mapping[str, JsonFile], name: str, kind: str, sharded: bool
) -> Weights:
    if not sharded:
        return Weights((name,), kind)
    document = documents.get(name)
    if document is not None and document.problem is not None and document.problem.code == "hub-permission":
        return Weights((), kind, name, problems=(document.problem,))
    if document is None or document.problem is not None:
        words = document.problem.message if document is not None and document.problem else "cannot be read"
        return Weights((), kind, name, problems=(_stale(name, words, ("JSONDecodeError", "")),))
    weight_map = document.mapping.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(item, str) for item in weight_map.values()):
        return Weights(
            (), kind, name, problems=(_stale(name, "has no weight_map of names", ("KeyError", "'weight_map'")),)
        )
    shards = sorted(set(weight_map.values()))
    problems = _index_problems(root, entries, document, name, shards)
    return Weights(tuple(shards[:MAX_SHARDS]), kind, name, weight_map, tuple(problems))


def _stale(name: str, words: str, error: tuple[str, str]) -> Problem:
    return Problem("shard-index-invalid", words, name, loader_error=error)


def _index_problems(
    root: Path, entries: frozenset[str], document: JsonFile, name: str, shards: list[str]
) -> list[Problem]:
    """What stops the loader between the index and the first tensor."""
    problems: list[Problem] = []
    metadata = document.mapping.get("metadata", {})
    if not isinstance(metadata, dict):
        said = f"{type(metadata).__name__} indices must be integers or slices, not str"
        problems.append(_stale(name, "has a `metadata` that is no object", ("TypeError", said)))
    if "metadata" not in document.mapping:
        problems.append(_stale(name, "has no `metadata`, which the loader reads", ("KeyError", "'metadata'")))
    escaping = [shard for shard in shards if os.path.basename(shard) != shard or shard in ("", ".", "..")]
    if escaping:
        shown = ", ".join(printable(shard, 120) for shard in escaping[:3])
        problems.append(
            Problem("shard-name-escapes", f"names files outside the directory: {shown}; they are not opened", name)
        )
    missing = [shard for shard in shards if shard not in escaping and not _is_file(os.path.join(root, shard))]
    if missing:
        problems.append(
            Problem(
                "shard-missing-file",
                f"{count_of(len(missing), 'shard')} of {len(shards):,} named by the index "
                f"{'is' if len(missing) == 1 else 'are'} not here: {listing(missing)}",
                missing[0],
                loader_error=("FileNotFoundError", f"No such file or directory: {root / missing[0]}"),
                detail=tuple(missing[:20]),
            )
        )
    return problems
