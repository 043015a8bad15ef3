"""Formats that are named by their first bytes and sized, and whose own readers come with their issues.

Saying what a file is settles many failures already: a GGUF under the name `pytorch_model.bin`, an HDF5 cut short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.checkpoint import FileReport
from tui.core.problems import Problem
from tui.core.text import bytes_size

if TYPE_CHECKING:
    from tui.core.files import RegularFile

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"tjgg", "ggml"),
    (0, b"lmgg", "ggml"),
    (0, b"fmgg", "ggml"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"7z\xbc\xaf'\x1c", "7z"),
)

TITLES: dict[str, str] = {
    "gguf": "GGUF (llama.cpp)",
    "ggml": "GGML, the format before GGUF",
    "hdf5": "HDF5 (Keras)",
    "npy": "a numpy array",
    "npz": "a zip of numpy arrays",
    "keras_zip": "a Keras 3 archive",
    "tflite": "TensorFlow Lite",
    "onnx": "ONNX",
    "fasttext": "fastText",
    "zip": "a zip",
    "gzip": "a gzip stream",
    "bzip2": "a bzip2 stream",
    "xz": "an xz stream",
    "7z": "a 7-Zip archive",
    "tar": "a tar archive",
    "torch_tar": "torch's tar format, older than 0.4",
    "zlib": "a zlib stream",
    "lzma": "an lzma stream",
    "flax": "Flax msgpack",
    "coreml": "CoreML",
    "coreml_weights": "weights of a CoreML package",
    "torch_export": "a torch.export archive",
    "joblib_zlib": "a zlib stream of joblib",
    "safetensors": "safetensors",
    "torch_zip": "a torch zip",
    "torch_legacy": "a legacy torch file",
    "torchscript": "a TorchScript archive",
    "pickle": "a pickle",
    "lfs_pointer": "a git-lfs pointer",
    "html": "an HTML page",
    "empty": "empty",
    "zeros": "all zeros",
    "zarr": "Zarr arrays",
    "ocdbt": "an OCDBT of tensorstore",
    "ocdbt_data": "data of an OCDBT",
    "unknown": "of no known format",
}
"""Formats in words."""


def identify(head: bytes) -> str:
    """The format's name, empty where the bytes are none of these."""
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    return ""


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the first bytes are one of the signatures above."""
    return bool(identify(head))


def read(file: RegularFile) -> FileReport:
    """The file's kind, size, and for HDF5 whether it ends where its superblock says."""
    kind = identify(file.head(512))
    report = FileReport(file.name, kind, file.size, modified=file.modified, allocated=file.blocks)
    if kind == "hdf5":
        problem = hdf5_cut(file)
        return report if problem is None else report.with_problems(problem)
    return report


def hdf5_end(head: bytes) -> int | None:
    """The end of the file that its first 96 bytes give, `None` where they give none."""
    offset = {0: 40, 1: 44, 2: 28, 3: 28}.get(head[8]) if len(head) >= 48 else None
    if offset is None or len(head) < offset + 8:
        return None
    end = int.from_bytes(head[offset : offset + 8], "little")
    return end if end < 1 << 63 else None


def hdf5_cut(file: RegularFile) -> Problem | None:
    """Whether the file is shorter than its superblock's end-of-file address (HDF5 format, versions 0 to 3)."""
    head = file.head(96)
    if len(head) < 48:
        return Problem("hdf5-truncated", f"has {file.size} bytes, less than a superblock", file.name, file.size)
    end = hdf5_end(head)
    if end is None or end <= file.size:
        return None
    return Problem(
        "hdf5-truncated",
        f"the superblock says {end:,} bytes, the file has {file.size:,}: {bytes_size(end - file.size)} are missing",
        file.name,
        file.size,
        loader_error=("OSError", f"Unable to synchronously open file (truncated file: eof = {file.size}"),
    )
