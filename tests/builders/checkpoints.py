"""Small checkpoints made on the spot, without any library."""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.tensors import DTYPE_BITS

if TYPE_CHECKING:
    from pathlib import Path

BERT_CONFIG: dict[str, Any] = {
    "architectures": ["BertForTokenClassification"], "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 50, "max_position_embeddings": 16,
    "type_vocab_size": 2, "id2label": {"0": "A", "1": "B"}, "label2id": {"A": 0, "B": 1}, "dtype": "float32",
}  # fmt: skip


Tensors = dict[str, tuple[str, tuple[int, ...]]]


def header(tensors: Tensors, metadata: dict[str, str] | None = None) -> tuple[bytes, int]:
    """A safetensors header with its length prefix, and the bytes of data that belong to it."""
    entries: dict[str, Any] = {}
    if metadata is not None:
        entries["__metadata__"] = metadata
    end = 0
    for name, (dtype, shape) in tensors.items():
        size = prod(shape) * DTYPE_BITS[dtype] // 8
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text, end


def write_safetensors(path: Path, tensors: dict[str, tuple[str, tuple[int, ...]]], extra: bytes = b"") -> Path:
    """A valid sparse safetensors file, with `extra` bytes after its end."""
    head, size = header(tensors)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
        if extra:
            file.seek(0, 2)
            file.write(extra)
    return path


def raw_safetensors(path: Path, text: bytes, data: bytes = b"", length: int | None = None) -> Path:
    """A file with any header text and any length prefix."""
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def write_config(directory: Path, **changes: Any) -> Path:
    """A directory with BERT's config, changed."""
    directory.mkdir(parents=True, exist_ok=True)
    config = {key: value for key, value in {**BERT_CONFIG, **changes}.items() if value is not None}
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    return directory
