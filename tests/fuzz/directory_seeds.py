"""Files that mean something only in their directory: databases and arrays of Orbax, CoreML packages, sharded saves."""

from __future__ import annotations

import importlib.util
import json
import shutil
import struct
import warnings
from typing import TYPE_CHECKING, Any

from tests.conftest import REPOSITORY
from tests.fuzz.mutate import in_place
from tests.fuzz.seeds import Seed
from tui.core.formats.tensorflow.crc32c import crc32c

if TYPE_CHECKING:
    from pathlib import Path

DATA = REPOSITORY / "tests" / "data"
_MANIFEST, _NODE = b"\x0c\xdb\x3a\x2a", b"\x0c\xdb\x20\xde"
_MODEL = "Data/com.apple.CoreML/model.mlmodel"
_WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"


def directories(place: Path) -> dict[str, Seed]:
    """Name → seed; the files around it are made below `place` where they are not kept."""
    package, found = DATA / "coreml" / "net.mlpackage", {}
    for name in ("Manifest.json", _MODEL, _WEIGHTS):
        found[f"package/{name.rpartition('/')[2]}"] = _of(package, name)
    for name in ("inner-nodes", "numbered", "pytree"):
        root = DATA / "orbax" / name
        found[f"{name}/manifest.ocdbt"] = _of(root, "manifest.ocdbt")
        found[f"{name}/manifest.ocdbt#sealed"] = _of(root, "manifest.ocdbt", sealed=_MANIFEST)
        node = next(path for path in sorted((root / "d").iterdir()) if _NODE in path.read_bytes())
        found[f"{name}/d"] = _of(root, f"d/{node.name}")
        found[f"{name}/d#sealed"] = _of(root, f"d/{node.name}", sealed=_NODE)
    newest = max((DATA / "orbax" / "numbered").glob("manifest.0*")).name
    found["numbered/newest#sealed"] = _of(DATA / "orbax" / "numbered", newest, sealed=_MANIFEST)
    found["pytree/_METADATA"] = _of(DATA / "orbax" / "pytree", "_METADATA")
    arrays = zarr_arrays(place / "zarr")
    found["zarr/.zarray"] = _of(arrays, "default/a/.zarray")
    found["zarr/zarr.json"] = _of(arrays, "default/c/zarr.json")
    if importlib.util.find_spec("torch") is not None:
        sharded = distributed(place / "dcp")
        found["sharded/.metadata"] = _of(sharded, ".metadata")
        found["sharded/.metadata#in place"] = _of(sharded, ".metadata", moved=False)
        found["sharded/__0_0.distcp"] = _of(sharded, "__0_0.distcp")
    return found


def _of(root: Path, name: str, *, sealed: bytes = b"", moved: bool = True) -> Seed:
    """One file of a directory; where it is `sealed`, its parts that begin so have right checksums after the change."""
    data = (root / name).read_bytes()
    if not sealed:
        return Seed(data, change=None if moved else in_place, root=root, name=name)
    parts = _parts(data, sealed)

    def change(whole: bytes, number: int) -> bytes:
        return resealed(in_place(whole, number), parts)

    return Seed(data, change=change, root=root, name=name)


def _parts(data: bytes, magic: bytes) -> list[tuple[int, int]]:
    """(first byte, bytes) of every manifest or node."""
    out: list[tuple[int, int]] = []
    at = data.find(magic)
    while at >= 0:
        (length,) = struct.unpack_from("<Q", data, at + 4)
        out.append((at, length))
        at = data.find(magic, at + length)
    return out


def resealed(data: bytes, parts: list[tuple[int, int]]) -> bytes:
    """The data with the lengths and checksums of its parts made right."""
    out = bytearray(data)
    for at, length in parts:
        out[at + 4 : at + 12] = length.to_bytes(8, "little")
        end = at + length - 4
        out[end : end + 4] = crc32c(bytes(out[at:end])).to_bytes(4, "little")
    return bytes(out)


def zarr_arrays(root: Path) -> Path:
    """Three arrays, each a directory: of Zarr 2 uncompressed and compressed, and of Zarr 3."""
    second = {"fill_value": None, "filters": None, "order": "C", "zarr_format": 2, "dtype": "<f4"}
    third: dict[str, Any] = {
        "zarr_format": 3, "node_type": "array", "data_type": "float32", "fill_value": 0, "codecs": [{"name": "bytes"}],
        "chunk_key_encoding": {"name": "default"},
    }  # fmt: skip
    grid = {"name": "regular", "configuration": {"chunk_shape": [4]}}
    files = {
        "a/.zarray": json.dumps({**second, "shape": [8, 8], "chunks": [8, 8], "compressor": None}).encode(),
        "a/0.0": bytes(256),
        "b/.zarray": json.dumps({**second, "shape": [6], "chunks": [4], "compressor": {"id": "zstd"}}).encode(),
        "b/0": b"zstd", "b/1": b"zstd",
        "c/zarr.json": json.dumps({**third, "shape": [6], "chunk_grid": grid}).encode(),
        "c/c/0": bytes(16), "c/c/1": bytes(16), "_METADATA": b"{}",
    }  # fmt: skip
    for name, data in files.items():
        path = root / "default" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (root / "_CHECKPOINT_METADATA").write_bytes(b"{}")
    return root


def distributed(root: Path) -> Path:
    """A sharded save of torch's own."""
    import torch
    from torch.distributed import checkpoint

    shutil.rmtree(root, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = {"a": torch.arange(64.0), "b": torch.arange(64.0) + 100, "step": 3}
        checkpoint.save(state, checkpoint_id=root)
    return root
