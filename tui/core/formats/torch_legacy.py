"""torch's legacy format (before 1.6): five pickles in a row, then the storages; and plain pickles.

Mirrors `_legacy_load` of `torch/serialization.py` 2.13. A scan that stopped at the first STOP would see only the magic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tui.core.checkpoint import FileReport
from tui.core.formats.extents import trailing_problems
from tui.core.formats.joblib_files import with_side_files
from tui.core.formats.pickles.arrays import SIDE_FILES
from tui.core.formats.pickles.judge import judge
from tui.core.formats.pickles.machine import MAX_OPCODES, Machine
from tui.core.formats.pickles.opcodes import TORCH_MAGIC
from tui.core.formats.pickles.trace import PickleBroken, Source, Trace
from tui.core.formats.pickles.values import Mapping, Storage
from tui.core.formats.pickles.walk import Found, find_tensors
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.tensors import DTYPE_BITS
from tui.core.text import bytes_size, count_of, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

_PARTS = 5
MAX_PICKLES = 1_000
"""Pickles in a row that are read of one file."""

_MAGIC_TEXT = f"L{TORCH_MAGIC}".encode()
"""How protocols 0 and 1 write the magic number."""

_STRAY = 64
"""What breaks within so few bytes after a complete pickle is no further pickle."""

_FIRST_OPCODES = frozenset(
    bytes([code]) for code in b"\x80()]}cJKMNIGSTUVXLP\x82\x83\x84\x8a\x8b\x8c\x8d\x8e\x8f\x88\x89\x95\x96FBC"
)
"""Opcodes that need nothing on the stack."""

_PICKLES = frozenset({"pkl", "pickle", "joblib", "sav", "p", "data"})
_TORCH = frozenset({"bin", "pt", "pth", "ckpt", "th", "tar"})


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the bytes can begin a pickle: PROTO, or an opcode that older protocols begin with."""
    if head[:1] == b"\x80":
        return len(head) > 1 and head[1] <= 5
    if head.startswith(_MAGIC_TEXT):
        return True
    suffix = name.rpartition(".")[2].lower()
    if suffix in _PICKLES:
        return head[:1] in _FIRST_OPCODES
    if head[:1] in (b"(", b"]", b"}", b"c"):
        return suffix in _TORCH and (head[:1] != b"c" or b"\n" in head[:256])
    return False


def read(file: RegularFile) -> FileReport:
    """Tensors and globals of every pickle in the file, and whether its storages are all there."""
    report = FileReport(file.name, "pickle", file.size, modified=file.modified, allocated=file.blocks)
    return with_side_files(file, read_source(report, Source(file)))


def read_source(report: FileReport, source: Source) -> FileReport:
    """The same for pickles that lie in memory or in a part of a file."""
    traces: list[Trace] = []
    broken, position, budget = "", 0, MAX_OPCODES
    legacy = False
    while position < source.end and budget > 0 and len(traces) < (_PARTS if legacy else MAX_PICKLES):
        machine = Machine(source, position, budget)
        try:
            trace = machine.run()
        except PickleBroken as error:
            if traces and not legacy and error.offset - position < _STRAY:
                break
            broken = f"the pickle breaks at byte {error.offset:,}: {error}"
            machine.trace.value = machine.unfinished()
            machine.trace.refuse("")
            traces.append(machine.trace)
            break
        traces.append(trace)
        position, budget = trace.end, budget - trace.opcodes
        legacy = legacy or (len(traces) == 1 and trace.value == TORCH_MAGIC)
    if legacy:
        return _legacy(report, traces, broken, position, source)
    return _plain(report, traces, broken, position, source.end)


def _plain(report: FileReport, traces: list[Trace], broken: str, end: int, size: int) -> FileReport:
    """Pickles that torch did not write: `pickle.load` reads the first, each call one more."""
    found = Found()
    for number, trace in enumerate(traces):
        prefix = f"pickle.{number}" if number else ""
        more = find_tensors(trace.value, report.name, held=trace.holds, arrays=True, prefix=prefix)
        if number:
            found.tensors += more.tensors
        else:
            found = more
    if not broken and end < size:
        traces[0].flag("suspicious", f"{count_of(size - end, 'byte')} follow the end of the pickle")
    pickle = judge(traces, found, broken)
    problems: tuple[Problem, ...] = ()
    if len(traces) > 1:
        report.metadata["pickles"] = len(traces)
    beside = [name for trace in traces for name in _named_files(trace)]
    if beside:
        report.metadata["side_files"] = beside
    if broken:
        problems = (Problem("pickle-broken", broken, report.name, loader_error=("UnpicklingError", "")),)
    elif traces and traces[0].persistent:
        words = "refers to objects outside of itself (persistent ids): only the loader that wrote it resolves them"
        error = ("UnpicklingError", "A load persistent id instruction was encountered, but no persistent_load function")
        problems = (Problem("pickle-persistent-id", words, report.name, loader_error=error),)
    return replace(report, tensors=tuple(found.tensors), pickle=pickle, problems=problems)


def _named_files(trace: Trace) -> list[str]:
    """Files that joblib's old wrappers name."""
    states = [call.state for call in trace.calls if call.name in SIDE_FILES]
    names = [state.strings().get("filename") for state in states if isinstance(state, Mapping)]
    return [name for name in names if isinstance(name, str)]


def _legacy(report: FileReport, traces: list[Trace], broken: str, position: int, source: Source) -> FileReport:
    """The five parts: magic, protocol, system, object, storage keys."""
    report = replace(report, format="torch_legacy")
    found = find_tensors(traces[3].value, report.name) if len(traces) > 3 else Found()
    pickle = judge(traces, found, broken)
    if broken or len(traces) < _PARTS:
        words = broken or f"holds {len(traces)} of its {_PARTS} parts"
        problem = Problem(
            "torch-legacy-truncated",
            f"is cut off: {words}",
            report.name,
            report.size,
            loader_error=("EOFError", "Ran out of input"),
        )
        return replace(report, tensors=tuple(found.tensors), pickle=pickle, problems=(problem,))
    placed, problems = _place(report, found, traces[4].value, position, source)
    metadata = _system(traces[2].value)
    return replace(report, tensors=placed, metadata=metadata, pickle=pickle, problems=problems)


def _place(
    report: FileReport, found: Found, keys: Any, position: int, source: Source
) -> tuple[tuple[Any, ...], tuple[Problem, ...]]:
    """Offsets of the storages after the pickles: each is its element count (8 bytes), then its bytes."""
    size = source.end
    starts: dict[str, int] = {}
    wrong: Problem | None = None
    end = size
    for key in keys if isinstance(keys, list) else []:
        storage = found.storages.get(str(key))
        if storage is None or storage.dtype not in DTYPE_BITS:
            break
        wrong = wrong or _miscounted(report, storage, position, source)
        starts[storage.key] = position + 8
        position += 8 + storage.numel * DTYPE_BITS[storage.dtype] // 8
    else:
        end = position
    tensors = tuple(_located(tensor, starts) for tensor in found.tensors)
    if found.outside:
        words = f"{count_of(len(found.outside), 'tensor')} reach beyond their storage: {found.outside[0]}"
        error = ("RuntimeError", "Trying to resize storage that is not resizable")
        return tensors, (Problem("torch-tensor-outside-storage", words, report.name, loader_error=error),)
    if wrong is not None:
        return tensors, (wrong,)
    if position <= size:
        return tensors, tuple(trailing_problems(report.name, size, end))
    problem = Problem(
        "torch-legacy-truncated",
        f"storages end at byte {position:,}, the file has {size:,}: {bytes_size(position - size)} are missing",
        report.name,
        size,
        loader_error=(
            "RuntimeError",
            f"unexpected EOF, expected {position - size} more bytes. The file might be corrupted.",
        ),
    )
    return tensors, (problem,)


def _miscounted(report: FileReport, storage: Storage, position: int, source: Source) -> Problem | None:
    """A storage before whose bytes another count of elements stands than the pickle gives."""
    data = source.at(position, 8)
    count = int.from_bytes(data, "little", signed=True)
    if count == storage.numel or len(data) < 8:  # the end is said of the file
        return None
    words = (
        f"storage {printable(storage.key, 40)} has {count:,} elements at byte {position:,}, {storage.numel:,} are due"
    )
    error = ("RuntimeError", "storage has wrong byte size: expected %ld got %ld")
    return Problem("torch-legacy-truncated", words, report.name, position, loader_error=error)


def _located(tensor: Any, starts: dict[str, int]) -> Any:
    """The tensor with the offset of its first element; without a place for its storage, with none."""
    start = starts.get(tensor.storage)
    return msgspec.structs.replace(tensor, offset=None if start is None else start + (tensor.offset or 0))


def _system(value: Any) -> dict[str, Any]:
    """What the file records of the machine that wrote it."""
    fields = value.strings() if hasattr(value, "strings") else {}
    return {key: item for key, item in fields.items() if isinstance(item, int | str | bool)}
