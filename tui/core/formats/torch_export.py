"""`torch.export` archives (`.pt2`): weights from `model_weights_config.json` (`torch/export/pt2_archive` 2.13)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.formats.zip_directory import Member, ZipBroken, data_offset, read_member
from tui.core.json_text import parse
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.tensors import DTYPE_BITS, Tensor, bytes_of
from tui.core.text import count_of, listing, printable

if TYPE_CHECKING:
    from tui.core.checkpoint import FileReport
    from tui.core.files import RegularFile

_MAX_CONFIG = 64 << 20
_DTYPES = {
    1: "U8", 2: "I8", 3: "I16", 4: "I32", 5: "I64", 6: "F16", 7: "F32", 8: "F64", 9: "C32", 10: "C64", 11: "C128",
    12: "BOOL", 13: "BF16", 28: "U16", 29: "F8_E4M3", 30: "F8_E5M2", 31: "F8_E4M3FNUZ", 32: "F8_E5M2FNUZ",
}  # fmt: skip
"""`ScalarType` of `torch/_export/serde/schema.py`."""


def is_export(records: dict[str, Member]) -> bool:
    """Whether the archive is one of torch.export: of the present layout, or of the one before 2.8."""
    return "archive_format" in records or "serialized_exported_program.json" in records


def read(file: RegularFile, report: FileReport, records: dict[str, Member]) -> FileReport:
    """Weights by name, and whether their records are there."""
    report = replace(report, format="torch_export")
    version = records.get("archive_version") or records.get("version")
    if version is not None and version.size < 64:
        report.metadata["archive_version"] = _text(file, version)
    configs = [name for name in records if name.endswith("_weights_config.json")]
    tensors: list[Tensor] = []
    missing: list[str] = []
    pickled: list[str] = []
    for name in configs:
        place = name.rpartition("/")[0]
        try:
            document = parse(read_member(file, records[name], _MAX_CONFIG))
        except ZipBroken as broken:
            return report.with_problems(_damaged(file, f"{printable(name, 80)}: {broken}"))
        entries = document.value.get("config") if isinstance(document.value, dict) else None
        if not isinstance(entries, dict):
            return report.with_problems(_damaged(file, f"{printable(name, 80)} names no weights"))
        for key, entry in entries.items():
            member = records.get(f"{place}/{entry.get('path_name')}") if isinstance(entry, dict) else None
            if member is None:
                missing.append(str(key))
                continue
            tensors.append(_tensor(file, str(key), entry, member))
            if entry.get("use_pickle"):
                pickled.append(str(key))
            elif member.size < tensors[-1].nbytes and not tensors[-1].stride:
                missing.append(str(key))
    if pickled:
        report.metadata["pickled"] = pickled[:50]
    report = replace(report, tensors=tuple(tensors))
    if missing:
        words = (
            f"{count_of(len(missing), 'weight')} without its record, or with one that is too short: {listing(missing)}"
        )
        return report.with_problems(_damaged(file, words))
    return report


def _text(file: RegularFile, member: Member) -> str:
    try:
        return read_member(file, member, 64).decode("ascii", "replace").strip()
    except ZipBroken:
        return ""


def _damaged(file: RegularFile, words: str) -> Problem:
    return Problem("zip-record-corrupt", words, file.name)


def _tensor(file: RegularFile, name: str, entry: dict[str, Any], member: Member) -> Tensor:
    """One weight from its metadata."""
    meta = entry.get("tensor_meta")
    fields: dict[str, Any] = meta if isinstance(meta, dict) else {}
    code = fields.get("dtype")
    dtype = _DTYPES.get(code, f"type {code}") if isinstance(code, int) else "unknown"
    shape, strides = _sizes(fields.get("sizes")), _sizes(fields.get("strides"))
    contiguous = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    try:
        place = data_offset(file, member) if member.method == 0 else None
    except ZipBroken:
        place = None
    nbytes = bytes_of(dtype, shape) if dtype in DTYPE_BITS else member.size
    stride = None if strides == contiguous else strides
    role = "" if entry.get("is_param", True) else "buffer"
    return Tensor(name, dtype, shape, nbytes or 0, file.name, place, str(entry.get("path_name")), stride, role=role)


def _sizes(items: Any) -> tuple[int, ...]:
    values = [item.get("as_int") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return tuple(value for value in values if type(value) is int and value >= 0)[:64]
