"""Files and directories that are hostile without any pickle: headers that lie, names that act, places that escape."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.builders.checkpoints import header

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "c4n4ry"
"""In every sequence below, so that one search finds any that came through."""

EVIL = f"w\x1b]52;c;{MARK}\x07\x1b]0;{MARK}\x1b\\\x9b31m{MARK}\x1b[31;{MARK}m\x1bc\u202e\u2066\x85\x00\r\n\x08[/x][@click=app.quit]{MARK}[/]"
"""A name that copies, titles, colours, resets, turns round, and is markup."""


def _safetensors(text: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _tensor(**changes: object) -> bytes:
    return json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}).encode()


def _named(key: str, value: str = "v") -> bytes:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    return json.dumps({"__metadata__": {key: value}, key: entry}).encode()


def _many(count: int) -> bytes:
    head, size = header({f"t.{number}": ("F32", (1,)) for number in range(count)})
    return head + bytes(size)


def _gguf(tensors: int, pairs: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + rest


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data)) + data


def _info(name: str, dims: bytes = struct.pack("<IQ", 1, 2), kind: int = 0, offset: int = 0) -> bytes:
    return _text(name) + dims + struct.pack("<IQ", kind, offset)


def _npy(head: str, data: bytes = b"") -> bytes:
    text = head.encode("utf-8", "surrogatepass")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


FILES: dict[str, Callable[[], bytes]] = {
    "length-2-63.safetensors": lambda: _safetensors(b"{}", length=2**63),
    "length-beyond.safetensors": lambda: _safetensors(b"{}", length=10**6),
    "empty.safetensors": lambda: b"",
    "seven.safetensors": lambda: b"\1" * 7,
    "negative.safetensors": lambda: _safetensors(_tensor(shape=[-2]), bytes(8)),
    "twice.safetensors": lambda: _safetensors(_tensor()[:-1] + b"," + _tensor()[1:], bytes(8)),
    "deep.safetensors": lambda: _safetensors(b'{"x":' + b"[" * 200_000),
    "backwards.safetensors": lambda: _safetensors(_tensor(data_offsets=[8, 0]), bytes(8)),
    "dtype.safetensors": lambda: _safetensors(_tensor(dtype=EVIL), bytes(8)),
    "trailing.safetensors": lambda: _safetensors(_tensor(), bytes(80)),
    "utf8.safetensors": lambda: _safetensors(b'{"\xff\xfe": 1}'),
    "nan.safetensors": lambda: _safetensors(b'{"x":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', bytes(8)),
    "1e400.safetensors": lambda: _safetensors(b'{"x":{"dtype":"F32","shape":[1e400],"data_offsets":[0,8]}}', bytes(8)),
    "many.safetensors": lambda: _many(100_000),
    "evil.safetensors": lambda: _safetensors(_named(EVIL, EVIL), bytes(4)),
    "long-name.safetensors": lambda: _safetensors(_named("n" * 1_000_000, "v" * 2_000_000), bytes(4)),
    "header-over-limit.safetensors": lambda: _safetensors(b"{}" + b" " * 99_999_999),
    "header-of-spaces.safetensors": lambda: _safetensors(b"{}" + b" " * 99_999_998),
    "outside.h5": lambda: _outside(),
    "members.zip.pt": lambda: _members(60_000),
    "count.gguf": lambda: _gguf(2**64 - 1, 0),
    "pairs.gguf": lambda: _gguf(0, 2**63),
    "text.gguf": lambda: _gguf(0, 1, struct.pack("<Q", 2**64 - 1) + b"k"),
    "array.gguf": lambda: _gguf(0, 1, _text("k") + struct.pack("<IIQ", 9, 4, 2**60)),
    "nested-array.gguf": lambda: _gguf(0, 1, _text("k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 50_000),
    "dims.gguf": lambda: _gguf(1, 0, _info("t", struct.pack("<I", 2**31))),
    "product.gguf": lambda: _gguf(1, 0, _info("t", struct.pack("<IQQQ", 3, 2**33, 2**32, 2**32))),
    "offset.gguf": lambda: _gguf(1, 0, _info("t", offset=2**62)),
    "type.gguf": lambda: _gguf(1, 0, _info("t", kind=999)),
    "evil.gguf": lambda: _gguf(1, 1, _text(EVIL) + struct.pack("<I", 8) + _text(EVIL) + _info(EVIL)),
    "shape.npy": lambda: _npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**62}, 2), }}\n"),
    "descr.npy": lambda: _npy(f"{{'descr': {EVIL!r}, 'fortran_order': False, 'shape': (2,), }}\n"),
    "code.npy": lambda: _npy("__import__('os').system('touch canary')\n"),
    "deep.npy": lambda: _npy("(" * 60_000),
    "nested.onnx": lambda: _nested(5000),
    "varint.onnx": lambda: b"\x08\x07" + b"\x3a" + b"\xff" * 20,
    "beyond.pb": lambda: b"\x0a\xff\xff\xff\xff\x7f",
    "lfs.bin": lambda: f"version https://git-lfs.github.com/spec/v1\noid sha256:{MARK}\x1b]0;x\x07\nsize 9\n".encode(),
    "page.bin": lambda: f"<!DOCTYPE html><title>\x1b]0;{MARK}\x07</title>".encode(),
    "evil.msgpack": lambda: b"\x81\xd9" + bytes([len(EVIL.encode())]) + EVIL.encode() + b"\xc0",
    "deep.msgpack": lambda: b"\x91" * 200_000,
    "map.msgpack": lambda: b"\xdf\xff\xff\xff\xff",
}  # fmt: skip
"""Single files."""


def _outside() -> bytes:
    """A dataset whose values lie in another file, and one that is a view of it: h5py reads both without a word."""
    import h5py

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "outside.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("raw", (64,), dtype="u1", external=[("/etc/passwd", 0, 64)])
            view = h5py.VirtualLayout(shape=(64,), dtype="u1")
            view[:] = h5py.VirtualSource("/etc/passwd", "raw", shape=(64,))
            file.create_virtual_dataset("view", view)
            file["link"] = h5py.ExternalLink("/etc/passwd", "/")
        return path.read_bytes()


def _members(count: int) -> bytes:
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for number in range(count):
            out.writestr(zipfile.ZipInfo(f"a/data/{number}"), b"")
    return buffer.getvalue()


def _nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        size = len(data)
        varint = b""
        while size > 0x7F:
            varint, size = varint + bytes([size & 0x7F | 0x80]), size >> 7
        data = b"\x3a" + varint + bytes([size]) + data
    return data


JSON: dict[str, dict[str, bytes]] = {
    "deep-config": {"config.json": b"[" * 100_000},
    "numbers": {"config.json": b'{"model_type":"bert","hidden_size":1e999,"vocab_size":NaN,"num_hidden_layers":-Infinity}'},
    "huge-config": {"config.json": b'{"model_type":"bert","num_hidden_layers":1000000000,"hidden_size":1000000000}'},
    "surrogate": {"config.json": b'{"model_type":"bert","x":"\\ud800\\u001b]52;c;c4n4ry\\u0007"}'},
    "evil-config": {"config.json": json.dumps({"model_type": EVIL, "architectures": [EVIL], EVIL: EVIL, "id2label": {EVIL: EVIL}}).encode()},
    "remote-code": {
        "config.json": json.dumps({"architectures": ["A" * 100_000], "auto_map": {"AutoModel": f"evil--{EVIL}"}}).encode(),
        "modeling_evil.py": b"import os\nos.system('touch canary')\n",
    },
    "escaping-index": {
        "config.json": b'{"model_type":"bert","architectures":["BertModel"]}',
        "model.safetensors.index.json": json.dumps({
            "metadata": {"total_size": -1},
            "weight_map": {"a": "../../etc/passwd", "b": "/dev/zero", "c": "x\0y", EVIL: EVIL, "d": ".."},
        }).encode(),
    },
    "many-shards": {"model.safetensors.index.json": json.dumps({"weight_map": {f"t{n}": f"s{n}.safetensors" for n in range(50_000)}}).encode()},
    "evil-tokenizer": {
        "config.json": b'{"model_type":"bert"}',
        "tokenizer.json": json.dumps({"model": {"type": EVIL, "vocab": {EVIL: 0}}, "added_tokens": [{"content": EVIL, "id": 1}]}).encode(),
        "tokenizer_config.json": json.dumps({"tokenizer_class": EVIL, "chat_template": "{% for x in range(10**9) %}{% endfor %}" + EVIL}).encode(),
        "vocab.txt": EVIL.encode(),
    },
    "evil-adapter": {"adapter_config.json": json.dumps({"peft_type": EVIL, "base_model_name_or_path": EVIL, "target_modules": [EVIL]}).encode()},
}  # fmt: skip
"""Directories of JSON and text."""


def write_files(place: Path) -> list[Path]:
    """Every single file of `FILES`."""
    out = []
    for name, made in FILES.items():
        path = place / name
        path.write_bytes(made())
        out.append(path)
    return out


def write_directories(place: Path) -> list[Path]:
    """Every directory of `JSON`, and those that only a file system can make."""
    out = []
    for name, files in JSON.items():
        root = place / name
        root.mkdir()
        for file, data in files.items():
            (root / file).write_bytes(data)
        out.append(root)
    return [*out, _links(place / "links"), _names(place / "names"), _deep(place / "deep")]


def _links(root: Path) -> Path:
    """A pipe, devices, links to itself, outwards and in a circle, a directory that may not be listed."""
    root.mkdir()
    os.mkfifo(root / "model.safetensors")
    for name, target in {
        "zero.bin": "/dev/zero", "stdin.pt": "/dev/stdin", "tty.gguf": "/dev/tty", "passwd.bin": "/etc/passwd",
        "self.safetensors": "self.safetensors", "circle": ".", "memory.bin": "/proc/self/mem", "config.json": "/dev/zero",
    }.items():  # fmt: skip
        (root / name).symlink_to(target)
    (root / "closed").mkdir(mode=0)
    return root


def _names(root: Path) -> Path:
    """File names that act on a terminal, on markup, on a shell."""
    root.mkdir()
    good = _safetensors(_tensor(), bytes(8))
    for name in (
        f"o\x1b]52;c;{MARK}\x07.safetensors", f"t\x1b]0;{MARK}\x07.bin", "n\n\r.safetensors", "b\u202egpj.safetensors",
        "[@click=app.quit]x[].safetensors", "$(touch canary).safetensors", "-rf.safetensors", "x" * 240 + ".safetensors",
        f"c\x9b31;{MARK}m.safetensors", "[", "a`b';\"c.safetensors",
    ):  # fmt: skip
        (root / name).write_bytes(good)
    with open(os.fsencode(root) + b"/\xff\xfe.safetensors", "wb") as file:
        file.write(good)
    return root


def _deep(root: Path) -> Path:
    """Directories within directories, far beyond what a path can name."""
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for _ in range(700):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    return root
