"""torch's legacy format (before 1.6): five pickles in a row, then the storages; and plain pickles.

Mirrors `_legacy_load` of `torch/serialization.py` 2.13. A scan that stopped at the first STOP would see only the magic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from tui.core.checkpoint import FileReport
from tui.core.formats.pickles.judge import judge
from tui.core.formats.pickles.machine import MAX_OPCODES, Machine
from tui.core.formats.pickles.trace import PickleBroken, Source, Trace
from tui.core.formats.pickles.walk import Found, find_tensors
from tui.core.problems import Problem
from tui.core.tensors import DTYPE_BITS
from tui.core.text import bytes_size, count_of

if TYPE_CHECKING:
    from tui.core.files import RegularFile

MAGIC = 0x1950A86A20F9469CFC6C
_PARTS = 5
_FIRST_OPCODES = frozenset(bytes([code]) for code in b"\x80()]}cJKMNIGSTUVXL\x8a\x8c\x8f\x88\x89FBC\x8e")
_PICKLES = frozenset({"pkl", "pickle", "joblib", "sav", "p", "data"})
_TORCH = frozenset({"bin", "pt", "pth", "ckpt", "th", "tar"})


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the bytes can begin a pickle: PROTO, or an opcode that older protocols begin with."""
    if head[:1] == b"\x80":
        return len(head) > 1 and head[1] <= 5
    suffix = name.rpartition(".")[2].lower()
    if suffix in _PICKLES:
        return head[:1] in _FIRST_OPCODES
    if head[:1] in (b"(", b"]", b"}", b"c"):
        return suffix in _TORCH and (head[:1] != b"c" or b"\n" in head[:256])
    return False


def read(file: RegularFile) -> FileReport:
    """Tensors and globals of every pickle in the file, and whether its storages are all there."""
    report = FileReport(file.name, "pickle", file.size, modified=file.modified, allocated=file.blocks)
    source = Source(file)
    traces: list[Trace] = []
    broken = ""
    position, budget = 0, MAX_OPCODES
    while position < file.size and len(traces) < _PARTS and budget > 0:
        machine = Machine(source, position, budget)
        try:
            trace = machine.run()
        except PickleBroken as error:
            broken = f"the pickle breaks at byte {error.offset:,}: {error}"
            machine.trace.value = machine.stack[0] if machine.stack else None
            machine.trace.refuse("")
            traces.append(machine.trace)
            break
        traces.append(trace)
        position, budget = trace.end, budget - trace.opcodes
        if len(traces) == 1 and trace.value != MAGIC:
            break
    legacy = bool(traces) and traces[0].value == MAGIC
    if not legacy:
        return _plain(report, traces, broken, position)
    return _legacy(report, traces, broken, position)


def _plain(report: FileReport, traces: list[Trace], broken: str, end: int) -> FileReport:
    """One pickle, not written by torch."""
    found = find_tensors(traces[0].value, report.name) if traces else Found()
    if not broken and end < report.size:
        traces[0].flag("suspicious", f"{count_of(report.size - end, 'byte')} follow the end of the pickle")
    pickle = judge(traces, found, broken)
    problems: tuple[Problem, ...] = ()
    if broken:
        problems = (Problem("pickle-broken", broken, report.name, loader_error=("UnpicklingError", "")),)
    elif traces and traces[0].persistent:
        words = "refers to objects outside of itself (persistent ids): only the loader that wrote it resolves them"
        error = ("UnpicklingError", "A load persistent id instruction was encountered, but no persistent_load function")
        problems = (Problem("pickle-persistent-id", words, report.name, loader_error=error),)
    return replace(report, tensors=tuple(found.tensors), pickle=pickle, problems=problems)


def _legacy(report: FileReport, traces: list[Trace], broken: str, position: int) -> FileReport:
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
    placed, problems = _place(report, found, traces[4].value, position)
    metadata = _system(traces[2].value)
    return replace(report, tensors=placed, metadata=metadata, pickle=pickle, problems=problems)


def _place(report: FileReport, found: Found, keys: Any, position: int) -> tuple[tuple[Any, ...], tuple[Problem, ...]]:
    """Offsets of the storages after the pickles: each is its element count (8 bytes), then its bytes."""
    starts: dict[str, int] = {}
    for key in keys if isinstance(keys, list) else []:
        storage = found.storages.get(str(key))
        if storage is None or storage.dtype not in DTYPE_BITS:
            break
        starts[storage.key] = position + 8
        position += 8 + storage.numel * DTYPE_BITS[storage.dtype] // 8
    tensors = tuple(_located(tensor, starts) for tensor in found.tensors)
    if found.outside:
        words = f"{count_of(len(found.outside), 'tensor')} reach beyond their storage: {found.outside[0]}"
        error = ("RuntimeError", "Trying to resize storage that is not resizable")
        return tensors, (Problem("torch-tensor-outside-storage", words, report.name, loader_error=error),)
    if position <= report.size:
        return tensors, ()
    problem = Problem(
        "torch-legacy-truncated",
        f"storages end at byte {position:,}, the file has {report.size:,}: "
        f"{bytes_size(position - report.size)} are missing",
        report.name,
        report.size,
        loader_error=(
            "RuntimeError",
            f"unexpected EOF, expected {position - report.size} more bytes. The file might be corrupted.",
        ),
    )
    return tensors, (problem,)


def _located(tensor: Any, starts: dict[str, int]) -> Any:
    """The tensor with the offset of its storage."""
    start = starts.get(tensor.storage)
    return tensor if start is None else msgspec.structs.replace(tensor, offset=start)


def _system(value: Any) -> dict[str, Any]:
    """What the file records of the machine that wrote it."""
    fields = value.strings() if hasattr(value, "strings") else {}
    return {key: item for key, item in fields.items() if isinstance(item, int | str | bool)}
