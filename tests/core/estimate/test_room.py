"""Room that is told without weighing a tensor: never where the whole estimate sees too little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import SAMPLES
from tests.core.estimate.test_weights import model
from tui.core.assemble import read_directory
from tui.core.estimate import Available, estimate, has_room

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders.checkpoints import Tensors
    from tui.core.checkpoint import Checkpoint

PLENTY = 1 << 50
_LARGE = (4096, 4096)
_EXPERTS: Tensors = {
    f"model.layers.0.mlp.experts.{number}.{part}_proj.weight": ("F16", _LARGE)
    for number in range(8)
    for part in ("gate", "up", "down")
}
MODELS: dict[str, tuple[Tensors, dict[str, Any]]] = {
    "as stored": ({"w.weight": ("F32", _LARGE)}, {}),
    "cast to twice": ({"w.weight": ("F16", _LARGE)}, {"dtype": "float32"}),
    "cast to four times": ({"w.weight": ("BF16", _LARGE)}, {"dtype": "float64"}),
    "experts stacked": (_EXPERTS, {"dtype": "float16"}),
    "experts stacked and cast": (_EXPERTS, {"dtype": "float64"}),
    "small experts stacked and cast": (
        dict.fromkeys(_EXPERTS, ("F16", (64, 64))),
        {"dtype": "float64"},
    ),
    "weight norm": ({"conv.weight_v": ("F16", _LARGE), "conv.weight_g": ("F16", (4096, 1))}, {"dtype": "float64"}),
    "mxfp4": (
        {"e.gate_up_proj_blocks": ("U8", (8, 4096, 90, 16)), "e.gate_up_proj_scales": ("U8", (8, 4096, 90))},
        {"quantization_config": {"quant_method": "mxfp4"}},
    ),
    "fp8": ({"w.weight": ("F8_E4M3", _LARGE)}, {"quantization_config": {"quant_method": "fp8"}, "dtype": "bfloat16"}),
    "a long cache": (
        {"w.weight": ("F32", (8, 8))},
        {"model_type": "llama", "num_hidden_layers": 500, "num_attention_heads": 256, "hidden_size": 65536},
    ),
    "a large vocabulary": ({"w.weight": ("F32", (8, 8))}, {"vocab_size": 50_000_000}),
    "wide layers": ({"w.weight": ("F32", (8, 8))}, {"intermediate_size": 40_000_000}),
    "positions computed anew": (
        {"w.weight": ("F32", (8, 8))},
        {"model_type": "pegasus", "d_model": 65536, "max_position_embeddings": 65536},
    ),
}


def _short(checkpoint: Checkpoint) -> Available:
    """A machine that has just too little."""
    low = estimate(checkpoint, Available(ram=PLENTY)).low
    assert low is not None
    return Available(ram=max(low - 1, 0))


@pytest.mark.parametrize("name", MODELS)
def test_a_machine_with_too_little_is_never_said_to_have_room(tmp_path: Path, name: str) -> None:
    tensors, config = MODELS[name]
    checkpoint = model(tmp_path, tensors, **config)
    machine = _short(checkpoint)
    assert estimate(checkpoint, machine).verdict == "exceeds"
    assert not has_room(checkpoint, machine)
    assert has_room(checkpoint, Available(ram=PLENTY))


def test_every_sample_on_a_machine_with_too_little() -> None:
    held = 0
    for root in sorted(path for path in SAMPLES.iterdir() if path.is_dir()):
        checkpoint = read_directory(root, root.name)
        if estimate(checkpoint, Available(ram=PLENTY)).low is not None:
            held += 1
            assert not has_room(checkpoint, _short(checkpoint)), root.name
    assert held > 15


def test_what_cannot_be_mapped_or_is_not_known_is_weighed() -> None:
    checkpoint = read_directory(SAMPLES / "bert-ner", "bert-ner")
    assert estimate(checkpoint, Available(ram=PLENTY, mappable=10_000)).verdict == "refused"
    assert not has_room(checkpoint, Available(ram=PLENTY, mappable=10_000))
    assert not has_room(checkpoint, Available(ram=None))
    assert not has_room(read_directory(SAMPLES / "bert-ner-zip-bin", "zip"), Available(ram=PLENTY))
