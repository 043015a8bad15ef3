"""The gallery's samples of other formats, written byte by byte where their library is no dependency of the builder."""

from __future__ import annotations

import json
import struct
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy
import torch
from safetensors.torch import save_file

from tests.builders.gguf_files import small

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 20


def gguf_tiny(dest: Path) -> None:
    """One layer with its vocabulary, as a converter writes it."""
    small(dest / "tiny-llama.gguf")


def gguf_truncated(dest: Path) -> None:
    """The same, cut in its second tensor."""
    path = small(dest / "tiny-llama.gguf")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def _field(number: int, value: int | bytes) -> bytes:
    """A protobuf field: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def onnx_external_missing(dest: Path) -> None:
    """A matrix product whose weight lies in a file that was not copied."""
    entries = ((b"location", b"model.onnx.data"), (b"offset", b"0"), (b"length", b"256"))
    data = b"".join(_field(13, _field(1, key) + _field(2, value)) for key, value in entries)
    weight = _field(1, 8) + _field(1, 8) + _field(2, 1) + _field(8, b"W") + data + _field(14, 1)
    shape = b"".join(_field(1, _field(1, size)) for size in (1, 8))
    kind = _field(2, _field(1, _field(1, 1) + _field(2, shape)))
    node = _field(1, b"x") + _field(1, b"W") + _field(2, b"y") + _field(4, b"MatMul")
    graph = _field(1, node) + _field(2, b"graph") + _field(5, weight)
    graph += _field(11, _field(1, b"x") + kind) + _field(12, _field(1, b"y") + kind)
    model = _field(1, 8) + _field(2, b"ckptriage") + _field(7, graph) + _field(8, _field(2, 17))
    (dest / "model.onnx").write_bytes(model)


def adapter_wrong_rank(dest: Path) -> None:
    """LoRA pairs of rank 4 beside a config that says 8."""
    torch.manual_seed(SEED)
    stem = "base_model.model.bert.encoder.layer.{}.attention.self.{}.lora_{}.weight"
    tensors = {}
    for layer in (0, 1):
        for part in ("query", "value"):
            tensors[stem.format(layer, part, "A")] = torch.randn(4, 16)
            tensors[stem.format(layer, part, "B")] = torch.zeros(16, 4)
    save_file(tensors, dest / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "base_model_name_or_path": "../bert-ner",
        "bias": "none",
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": 8,
        "target_modules": ["query", "value"],
        "task_type": "TOKEN_CLS",
    }
    (dest / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _passing_class(module: str, name: str) -> Iterator[type[Any]]:
    """A class that can be imported for as long as the block runs."""
    home = ModuleType(module)
    made = type(name, (), {"__module__": module})
    setattr(home, name, made)
    sys.modules[module] = home
    try:
        yield made
    finally:
        del sys.modules[module]


def numpy_objects(dest: Path) -> None:
    """An archive of arrays, one of which holds an object of somebody's class."""
    generator = numpy.random.default_rng(SEED)
    with _passing_class("label_tools", "LabelSet") as labels:
        held: Any = numpy.empty(1, object)
        held[0] = labels()
        weight = generator.random((4, 3), dtype=numpy.float32)
        numpy.savez(dest / "classifier.npz", weight=weight, bias=numpy.zeros(3, numpy.float32), labels=held)


def optimizer_state(dest: Path) -> None:
    """What the Trainer writes after the weights and before trainer_state.json."""
    state = {"state": {}, "param_groups": [{"lr": 5e-05, "params": [0, 1, 2]}]}
    torch.save(state, dest / "optimizer.pt")


def fasttext(words: int = 5, dim: int = 3, version: int = 12, quantized: bool = False) -> bytes:
    """A model as fastText 0.9 writes it (`FastText::saveModel`): arguments, dictionary, two matrices."""
    out = struct.pack("<ii", 793712314, version) + struct.pack("<12i", dim, 5, 5, 1, 5, 1, 1, 3, 7, 0, 0, 100)
    out += struct.pack("<d", 1e-4) + struct.pack("<iiiqq", words, words - 1, 1, 99, -1)
    for number in range(words):
        out += f"word{number}".encode() * 20 + b"\0" + struct.pack("<qb", number, number == words - 1)
    out += struct.pack("<?", quantized)
    if quantized:
        return out + bytes(64)
    matrix = struct.pack("<qq", words + 7, dim) + bytes(4 * dim * (words + 7))
    return out + matrix + struct.pack("<?", False) + struct.pack("<qq", 1, dim) + bytes(4 * dim)
