"""One module per file format: `matches(head, name, size)` and `read(file)`; the first that matches reads.

A file is recognised by its content. Its name decides only what the user was told it is. Readers are imported when they
are first asked: most trees hold two or three formats, and the screen does not wait for the other twenty.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from tui.core.checkpoint import FileReport
from tui.core.files import FileProblem, RegularFile, open_regular
from tui.core.problems import Problem
from tui.core.text import printable

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

READERS = (
    "safetensors", "dcp_metadata", "keras", "torch_zip", "imposters", "tensorflow.saved_model", "tensorflow.bundle",
    "gguf", "numpy_files", "streams", "tar_files", "fasttext", "tflite", "recognised", "tensorflow.v1_checkpoint",
    "flax", "coreml", "onnx", "torch_legacy",
)  # fmt: skip
"""Modules of this package in the order in which they are asked."""

WEIGHT_SUFFIXES = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".gguf", ".ggml", ".h5", ".hdf5", ".keras",
    ".onnx", ".npy", ".npz", ".msgpack", ".tflite", ".pb", ".joblib", ".th", ".jit", ".pt2", ".mlmodel", ".sav",
    ".pkl.gz", ".pkl.gzip", ".pkl.bz2", ".pkl.xz", ".pkl.lzma", ".pkl.z", ".joblib.gz", ".joblib.z", ".pth.tar",
    ".pt.tar",
)  # fmt: skip
"""Suffixes of files that claim to hold weights; what they hold is read from their content."""


def read_file(path: Path, name: str) -> FileReport:
    """`path` as what its content says it is; never raises, the report carries what went wrong."""
    try:
        with open_regular(path, name) as file:
            return _read(file)
    except FileProblem as problem:
        return FileReport(name, "unreadable", 0, problems=(problem.problem,))


def _read(file: RegularFile) -> FileReport:
    """The first matching reader's report; a reader that raises is reported, not passed on."""
    head = file.head(512)
    for name in READERS:
        reader = reader_named(name)
        if not reader.matches(head, file.name, file.size):
            continue
        try:
            report: FileReport = reader.read(file)
        except FileProblem as problem:
            return FileReport(file.name, _format_of(reader), file.size, problems=(problem.problem,))
        except Exception as error:  # the seam to a reader: whatever it meets becomes a finding
            unread = Problem(
                "file-unreadable", f"could not be read: {type(error).__name__}: {printable(str(error), 200)}", file.name
            )
            return FileReport(file.name, _format_of(reader), file.size, problems=(unread,))
        return report
    return _unknown(file, head)


@cache
def reader_named(name: str) -> ModuleType:
    """One of `READERS`."""
    return import_module(f"tui.core.formats.{name}")


def _format_of(reader: ModuleType) -> str:
    return reader.__name__.rpartition(".")[2]


def _unknown(file: RegularFile, head: bytes) -> FileReport:
    """A file of no known format; under a weight suffix that is a problem, with the loader's words."""
    report = FileReport(file.name, "unknown", file.size, modified=file.modified, allocated=file.blocks)
    if not file.name.lower().endswith(WEIGHT_SUFFIXES):
        return report
    first = " ".join(f"{byte:02x}" for byte in head[:8])
    ascii_text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in head[:8])
    if file.name.endswith(".safetensors"):
        problems = reader_named("safetensors").read(file).problems
        return report.with_problems(*problems) if problems else report
    message = f"is of no known format: it begins with {first} ({ascii_text})"
    words = None
    if head and file.name.endswith((".bin", ".pt", ".pth", ".ckpt")):
        words = ("UnpicklingError", f"Weights only load failed. … Unsupported operand {head[0]}")
    return report.with_problems(Problem("file-not-a-checkpoint", message, file.name, 0, loader_error=words))
