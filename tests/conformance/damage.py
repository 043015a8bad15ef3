"""Kinds of damage: each takes a saved checkpoint and breaks it in one way, or says that it does not apply."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

State = dict[str, torch.Tensor]
WEIGHTS = "model.safetensors"


def config_of(root: Path) -> dict[str, Any]:
    """The config as JSON."""
    value: dict[str, Any] = json.loads((root / "config.json").read_text("utf-8"))
    return value


def _set_config(root: Path, changes: dict[str, Any]) -> None:
    config = config_of(root)
    config.update(changes)
    (root / "config.json").write_text(json.dumps(config), "utf-8")


def _state(root: Path) -> State:
    loaded: State = load_file(str(root / WEIGHTS))
    return loaded


def _save(root: Path, state: State) -> None:
    save_file({name: value.contiguous() for name, value in state.items()}, str(root / WEIGHTS), {"format": "pt"})


def nothing(root: Path) -> bool:
    """As saved."""
    return True


def _first_int(config: dict[str, Any], *names: str) -> str | None:
    return next((name for name in names if isinstance(config.get(name), int) and config[name] > 1), None)


def dimension(root: Path) -> bool:
    """Twice the hidden size."""
    name = _first_int(config_of(root), "hidden_size", "d_model", "n_embd", "dim", "embed_dim")
    if name is None:
        return False
    _set_config(root, {name: config_of(root)[name] * 2})
    return True


def vocabulary(root: Path) -> bool:
    """Seven tokens more."""
    name = _first_int(config_of(root), "vocab_size")
    if name is None:
        return False
    _set_config(root, {name: config_of(root)[name] + 7})
    return True


def labels(root: Path) -> bool:
    """Five labels."""
    names = [f"L{number}" for number in range(5)]
    _set_config(root, {"id2label": dict(enumerate(names)), "label2id": {name: n for n, name in enumerate(names)}})
    return True


def _layers(root: Path, step: int) -> bool:
    config = config_of(root)
    name = _first_int(config, "num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers")
    if name is None or "layer_types" in config:
        return False
    _set_config(root, {name: config[name] + step})
    return True


def layer_more(root: Path) -> bool:
    """One layer more in the config."""
    return _layers(root, 1)


def layer_fewer(root: Path) -> bool:
    """One layer fewer in the config."""
    return _layers(root, -1)


def dropped(root: Path) -> bool:
    """One tensor less in the file."""
    state = _state(root)
    if len(state) < 2:
        return False
    del state[sorted(state)[len(state) // 2]]
    _save(root, state)
    return True


def renamed(root: Path) -> bool:
    """One tensor under another name."""
    state = _state(root)
    name = sorted(state)[len(state) // 3]
    state[f"{name}_renamed"] = state.pop(name)
    _save(root, state)
    return True


def extra(root: Path) -> bool:
    """Two tensors that no model has."""
    state = _state(root)
    state["nobody.knows.weight"] = torch.zeros(3)
    state["extra"] = torch.zeros(2, 2)
    _save(root, state)
    return True


def prefix_added(root: Path) -> bool:
    """`module.` before every name."""
    _save(root, {f"module.{name}": value for name, value in _state(root).items()})
    return True


def prefix_removed(root: Path) -> bool:
    """The first part of every name cut off, where it is shared by most."""
    state = _state(root)
    heads = {name.partition(".")[0] for name in state}
    shared = max(heads, key=lambda head: sum(name.startswith(f"{head}.") for name in state))
    cut = {re.sub(f"^{re.escape(shared)}\\.", "", name): value for name, value in state.items()}
    if len(cut) != len(state):
        return False
    _save(root, cut)
    return True


def index_lies(root: Path) -> bool:
    """A shard index that names a tensor which is nowhere."""
    state = _state(root)
    weight_map = dict.fromkeys(state, "model-00001-of-00001.safetensors") | {
        "not.there": "model-00001-of-00001.safetensors"
    }
    (root / WEIGHTS).rename(root / "model-00001-of-00001.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (root / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    return True


def truncated(root: Path) -> bool:
    """Half of the file."""
    data = (root / WEIGHTS).read_bytes()
    (root / WEIGHTS).write_bytes(data[: len(data) // 2])
    return True


def wrong_class(root: Path) -> bool:
    """Loaded as BERT, whatever it is; BERT-like ones as GPT-2."""
    return True


DAMAGE: tuple[Callable[[Path], bool], ...] = (
    nothing, dimension, vocabulary, labels, layer_more, layer_fewer, dropped, renamed, extra, prefix_added,
    prefix_removed, index_lies, truncated, wrong_class,
)  # fmt: skip
"""Every kind, in the order of the table."""
