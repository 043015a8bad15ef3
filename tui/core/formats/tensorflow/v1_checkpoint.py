"""Checkpoints of TensorFlow before 1.0 (V1): one table whose first entry lists every tensor.

Mirrors `tensorflow/core/util/tensor_slice_{reader,writer}.cc` (2.21): the key `""` holds `SavedTensorSlices.meta`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.checkpoint import FileReport
from tui.core.formats.protobuf import BYTES, VARINT, Source, WireError, fields
from tui.core.formats.tensorflow import dtypes, messages
from tui.core.formats.tensorflow.bundle import role_of
from tui.core.formats.tensorflow.table import Table, TableError
from tui.core.problems import Problem
from tui.core.tensors import Tensor, bytes_of

if TYPE_CHECKING:
    from tui.core.files import RegularFile


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the first entry of a table with an empty key stands at the beginning, and the name fits."""
    named = "ckpt" in name or "model" in name
    return named and len(head) > 32 and head[:2] == b"\0\0" and head[2:3] != b"\0" and b"\n" in head[3:8]


def read(file: RegularFile) -> FileReport:
    """The tensors that the table's header lists."""
    tensors: tuple[Tensor, ...] = ()
    problems: tuple[Problem, ...] = ()
    try:
        table = Table(file)
        for key, value, _ in table.entries():
            if key == b"":
                tensors = _listed(Source(value), file.name)
            if table.unchecked:  # the rest is data, which `--deep` reads
                break
    except TableError as error:
        problems = (_damaged(file, error),)
    except WireError as error:
        problems = (Problem("tensorflow-index-damaged", error.message, file.name, error.offset),)
    metadata = {"form": "name-based", "version": 1} if tensors else {}
    return FileReport(
        file.name, "tensorflow_v1", file.size, tensors, metadata, problems,
        modified=file.modified, allocated=file.blocks,
    )  # fmt: skip


def _damaged(file: RegularFile, error: TableError) -> Problem:
    """Damage of the table, with what `tf.train.load_checkpoint` says, or the reading of a tensor after it."""
    code = "tensorflow-checksum" if "checksum" in error.words else "tensorflow-index-damaged"
    words = f"Unable to open table file {file.path}: DATA_LOSS: {error.words}"
    return Problem(code, error.message, file.name, error.offset, loader_error=("DataLossError", words))


def _listed(source: Source, name: str) -> tuple[Tensor, ...]:
    """Each SavedSliceMeta (1 name, 2 shape, 3 type) of the header."""
    out: list[Tensor] = []
    for number, kind, value, stop in fields(source, 0, source.size):
        if number != 1 or kind != BYTES:
            continue
        for tag, wire, first, last in fields(source, value, stop):
            if tag == 1 and wire == BYTES:
                out.append(_slice(source, first, last, name))
    return tuple(out)


def _slice(source: Source, start: int, end: int, file: str) -> Tensor:
    name, dtype, sizes = "", 0, []
    for number, kind, value, stop in fields(source, start, end):
        if number == 1 and kind == BYTES:
            name = source.text(value, stop)
        elif number == 2 and kind == BYTES:
            sizes = messages.shape(source, value, stop) or []
        elif number == 3 and kind == VARINT:
            dtype = value
    shape = tuple(size or 0 for size in sizes)
    ours = dtypes.our_name(dtype)
    return Tensor(name, ours, shape, bytes_of(ours, shape) or 0, file, role=role_of(name))
