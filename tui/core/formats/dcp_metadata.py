"""`.metadata` of `torch.distributed.checkpoint`: names, sizes and dtypes of the whole tensors, and where pieces lie.

The pickle of `torch/distributed/checkpoint/metadata.py` (2.13, `Metadata`), walked and not loaded.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.formats.dcp_pieces import MAX_LOOKED_AT, Piece, damaged, uncovered
from tui.core.formats.extents import trailing_problems
from tui.core.formats.pickles.judge import judge
from tui.core.formats.pickles.machine import Machine
from tui.core.formats.pickles.trace import PickleBroken, Source
from tui.core.formats.pickles.values import Call, Global, Mapping
from tui.core.formats.pickles.walk import Found
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.tensors import TORCH_DTYPES, Tensor, bytes_of
from tui.core.text import bytes_size, count_of, listing, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

_PREFIX = "torch.distributed.checkpoint."
MAX_FILES = 100_000
_OWN = frozenset(
    {
        *(f"{_PREFIX}metadata.{name}" for name in (
            "Metadata", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata", "BytesStorageMetadata",
            "MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING",
        )),
        *(f"{_PREFIX}filesystem.{name}" for name in ("_StorageInfo", "_StoragePrefix")),
        "pathlib.PosixPath", "pathlib._local.PosixPath", "torch.serialization._get_layout",
    }
)  # fmt: skip
"""Plain records of torch's own, of which every such file is made: they hold what they are given."""


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the file has the name that the writer gives it, and begins as a pickle."""
    return os.path.basename(name) == ".metadata" and head[:1] == b"\x80"


def read(file: RegularFile) -> FileReport:
    """Tensors by their full names, and whether the files with their bytes are there and long enough."""
    report = FileReport(file.name, "dcp_metadata", file.size, modified=file.modified, allocated=file.blocks)
    machine = Machine(Source(file))
    broken = ""
    try:
        machine.run()
    except PickleBroken as error:
        broken = f"the pickle breaks at byte {error.offset:,}: {error}"
    pickle = judge([machine.trace], Found(root=f"{_PREFIX}metadata.Metadata"), broken)
    if pickle.level == "needs_code" and set(pickle.unlisted) <= _OWN:
        pickle = replace(pickle, level="tensors_only", reasons=())
    pickle = replace(pickle, weights_only_error=None)  # read by the planner's own unpickler, not by torch.load
    report = replace(report, pickle=pickle)
    if broken:
        error_words = ("UnpicklingError", "pickle data was truncated")
        return report.with_problems(Problem("pickle-broken", broken, file.name, loader_error=error_words))
    fields = _fields(machine.trace.value)
    tensors = [_tensor(file.name, key, value) for key, value in _pairs(fields.get("state_dict_metadata"))]
    wanted = _wanted(fields.get("storage_data"))
    report.metadata["files"] = dict(list(wanted.items())[:1000])
    report = replace(report, tensors=tuple(tensor for tensor in tensors if tensor is not None))
    problems = _missing(file, wanted) + _whole(file.name, fields.get("state_dict_metadata"))
    problems += trailing_problems(file.name, file.size, machine.trace.end)
    if not any(problem.code == "shard-name-escapes" for problem in problems):
        problems += damaged(file, _pieces(fields.get("storage_data")))
    return report.with_problems(*problems)


def _fields(value: Any) -> dict[str, Any]:
    """The state of an object by name."""
    state = value.state if isinstance(value, Call) else None
    return state.strings() if isinstance(state, Mapping) else {}


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    return value.pairs if isinstance(value, Mapping) else []


def _tensor(file: str, key: Any, value: Any) -> Tensor | None:
    """One whole tensor; `None` for what is stored as bytes."""
    fields = _fields(value)
    shape = fields.get("size")
    if not isinstance(shape, tuple) or not all(type(size) is int for size in shape):
        return None
    dtype = _dtype(fields.get("properties"))
    name = str(key)
    role = "optimizer" if name.startswith(("optim", "optimizer")) else ""
    return Tensor(name, dtype, shape, bytes_of(dtype, shape) or 0, file, role=role)


def _dtype(properties: Any) -> str:
    """The dtype of `TensorProperties`, whose state is a tuple that begins with it, or a mapping."""
    state = properties.state if isinstance(properties, Call) else None
    first = state[0] if isinstance(state, tuple) and state else _fields(properties).get("dtype")
    while isinstance(first, tuple) and first:
        first = first[0]
    return TORCH_DTYPES.get(first.name, first.name) if isinstance(first, Global) else "unknown"


def _whole(file: str, described: Any) -> list[Problem]:
    """Tensors whose pieces are not as many elements as they have."""
    rows = []
    for key, value in _pairs(described):
        tensor = _tensor(file, key, value)
        chunks = _fields(value).get("chunks")
        if tensor is not None and isinstance(chunks, list):
            sizes = [size for chunk in chunks if (size := _size(_fields(chunk).get("sizes"))) is not None]
            rows.append((tensor.name, tensor.shape, bytes_of(tensor.dtype, tensor.shape), sizes))
    return uncovered(file, rows)


def _size(value: Any) -> tuple[int, ...] | None:
    """A `torch.Size`, `None` where it is none."""
    plain = isinstance(value, tuple) and all(type(size) is int and size >= 0 for size in value)
    return value if plain else None


def _pieces(storage: Any) -> list[Piece]:
    """Every piece that the metadata place, as many as are looked at."""
    out: list[Piece] = []
    for key, value in _pairs(storage)[:MAX_LOOKED_AT]:
        fields = _fields(value)
        path, offset, length = fields.get("relative_path"), fields.get("offset"), fields.get("length")
        if isinstance(path, str) and type(offset) is int and type(length) is int and offset >= 0:
            name = str(_fields(key).get("fqn", "(no name)"))
            out.append(Piece(path, offset, length, name, not fields.get("transform_descriptors")))
    return out


def _wanted(storage: Any) -> dict[str, int]:
    """For each file the byte up to which pieces reach in it."""
    out: dict[str, int] = {}
    for _, value in _pairs(storage):
        fields = _fields(value)
        path, offset, length = fields.get("relative_path"), fields.get("offset"), fields.get("length")
        if isinstance(path, str) and type(offset) is int and type(length) is int and len(out) < MAX_FILES:
            out[path] = max(out.get(path, 0), offset + length)
    return out


def _missing(file: RegularFile, wanted: dict[str, int]) -> list[Problem]:
    """Files that are absent, cut short, or that a made-up path leads to elsewhere."""
    absent: list[str] = []
    short: list[str] = []
    for name, end in wanted.items():
        if os.path.basename(name) != name or name in ("", ".", ".."):
            words = f"names a file outside its directory: {printable(name, 120)}"
            return [Problem("shard-name-escapes", words, file.name)]
        try:
            size = os.stat(file.path.parent / name).st_size
        except (OSError, ValueError):
            absent.append(name)
            continue
        if size < end:
            short.append(f"{name} has {bytes_size(size)} of {bytes_size(end)}")
    problems: list[Problem] = []
    if absent:
        words = f"{count_of(len(absent), 'file')} of {len(wanted):,} not here: {listing(absent)}"
        error = ("FileNotFoundError", f"[Errno 2] No such file or directory: '{absent[0]}'")
        problems.append(Problem("dist-shard-missing", words, file.name, loader_error=error, detail=tuple(absent[:20])))
    if short:
        words = f"{count_of(len(short), 'file')} cut short: {listing(short)}"
        problems.append(Problem("dist-shard-missing", words, file.name))
    return problems
