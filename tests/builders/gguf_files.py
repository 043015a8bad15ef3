"""GGUF files made by hand, so that every byte of them can be wrong."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
Row = tuple[str, tuple[int, ...], int, int]
"""Name, dimensions (fastest first), ggml type, offset in the data."""


def header(
    rows: list[Row],
    pairs: list[tuple[str, int, Any]] | None = None,
    *,
    version: int = 3,
    order: str = "<",
    tensors: int | None = None,
    keys: int | None = None,
) -> bytes:
    """Magic, version, counts, metadata and tensor rows; `tensors` and `keys` replace the true counts."""
    pairs = pairs or []
    wide = "I" if version == 1 else "Q"
    out = [b"GGUF", struct.pack(f"{order}I", version)]
    counts = (len(rows) if tensors is None else tensors, len(pairs) if keys is None else keys)
    out.append(struct.pack(f"{order}2{wide}", *counts))
    for key, kind, value in pairs:
        out += [_text(key, order, wide), struct.pack(f"{order}I", kind), _value(kind, value, order, wide)]
    for name, shape, kind, offset in rows:
        out += [_text(name, order, wide), struct.pack(f"{order}I{len(shape)}{wide}", len(shape), *shape)]
        out.append(struct.pack(f"{order}IQ", kind, offset))
    return b"".join(out)


def _text(text: str, order: str, wide: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack(f"{order}{wide}", len(data)) + data


def _value(kind: int, value: Any, order: str, wide: str) -> bytes:
    if kind == 8:
        return _text(value, order, wide)
    if kind == 9:
        inner, items = value
        head = struct.pack(f"{order}I{wide}", inner, len(items))
        return head + b"".join(_value(inner, item, order, wide) for item in items)
    return struct.pack(order + _FORMS[kind], value)


def padded(head: bytes, data: int, alignment: int = 32) -> bytes:
    """The header, padding to the alignment, and `data` zero bytes."""
    return head + bytes(-len(head) % alignment + data)


def small(path: Path, architecture: str = "llama", tokens: int = 8, **changes: Any) -> Path:
    """A tiny model of one layer with its vocabulary."""
    pairs = [
        ("general.architecture", 8, architecture),
        ("general.name", 8, "tiny"),
        (f"{architecture}.embedding_length", 4, changes.get("width", 32)),
        (f"{architecture}.attention.head_count", 4, changes.get("heads", 4)),
        ("tokenizer.ggml.model", 8, "llama"),
        ("tokenizer.ggml.tokens", 9, (8, [f"t{index}" for index in range(tokens)])),
        ("tokenizer.chat_template", 8, "{% for m in messages %}{{ m.content }}{% endfor %}"),
        *changes.get("pairs", []),
    ]
    vocabulary, queries = changes.get("vocab", 8), changes.get("q", 32)
    first = 32 * 4 * vocabulary
    second = first + 34 * queries + -(34 * queries) % 32
    rows: list[Row] = [
        ("token_embd.weight", (32, vocabulary), 0, 0),
        ("blk.0.attn_q.weight", (32, queries), 8, first),
        ("output_norm.weight", (32,), 0, second),
    ]
    path.write_bytes(padded(header(rows, pairs), second + 128))
    return path
