"""torch's zip format (`torch.save` since 1.6) and TorchScript archives.

`data.pkl` is walked symbolically; the storages are checked by size against the archive's directory and never read.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from tui.core.checkpoint import FileReport, PickleReport
from tui.core.formats import numpy_files, torch_export
from tui.core.formats.extents import overlap_problems, trailing_problems
from tui.core.formats.pickles.judge import judge
from tui.core.formats.pickles.machine import Machine
from tui.core.formats.pickles.trace import PickleBroken, Source, Trace
from tui.core.formats.pickles.walk import Found, find_tensors
from tui.core.formats.torch_records import read_records, record_problems
from tui.core.formats.zip_directory import (
    LocalHeaders,
    Member,
    ZipBroken,
    archive_end,
    list_members,
    overlaps,
    read_member,
)
from tui.core.problems import Problem
from tui.core.record import replace
from tui.core.tensors import DTYPE_BITS
from tui.core.text import count_of, listing

if TYPE_CHECKING:
    from tui.core.files import RegularFile
    from tui.core.tensors import Tensor

MAX_PICKLE = 256 << 20


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the file begins as a zip does; `read` tells torch's from others."""
    return head[:4] == b"PK\x03\x04"


def read(file: RegularFile) -> FileReport:
    """Tensors, globals and the archive's integrity; a zip that is not torch's comes back as format `zip`."""
    report = FileReport(file.name, "torch_zip", file.size, modified=file.modified, allocated=file.blocks)
    try:
        members = list_members(file)
    except ZipBroken as broken:
        return report.with_problems(_unlistable(file, broken))
    records, root = _records(members)
    if torch_export.is_export(records):
        return torch_export.read(file, report, records).with_problems(*_silent(file, members))
    if "data.pkl" not in records:
        return _other_zip(file, report, members)
    script = "constants.pkl" in records
    report = replace(report, format="torchscript" if script else "torch_zip")
    others = [records["constants.pkl"]] if script else []
    try:
        copies = [read_member(file, member, MAX_PICKLE) for member in (*_copies(members, root), *others)]
    except ZipBroken as broken:
        return report.with_problems(_corrupt(file, str(broken), "data.pkl"))
    traces, found, broken_at = read_stream(copies[0], file.name)
    for data in copies[1:]:  # a script's constants, and copies: which of them torch reads depends on its search
        more, _, also_broken = read_stream(data, file.name)
        traces, broken_at = traces + more, broken_at or also_broken
    pickle = judge(traces, found, broken_at)
    if script:
        pickle = _scripted(pickle)
    problems = _structure(file, members, records, found)
    metadata, raw, changed = read_records(file, records, root)
    if zlib.crc32(copies[0]) != records["data.pkl"].crc:
        changed.append("data.pkl")
    problems += record_problems(file, raw, changed)
    tensors = _placed(file, records, found.tensors)
    return replace(report, tensors=tensors, metadata=metadata, problems=tuple(problems), pickle=pickle)


def _placed(file: RegularFile, records: dict[str, Member], tensors: list[Tensor]) -> tuple[Tensor, ...]:
    """The tensors with the offset of their first element in the file, where their record is stored plainly."""
    starts: dict[str, int | None] = {}
    headers = LocalHeaders(file)
    for tensor in tensors:
        if tensor.storage and tensor.storage not in starts:
            member = records.get(f"data/{tensor.storage}")
            starts[tensor.storage] = _start(headers, member) if member is not None and member.method == 0 else None
    return tuple(_shifted(tensor, starts.get(tensor.storage)) for tensor in tensors)


def _start(headers: LocalHeaders, member: Member) -> int | None:
    try:
        return headers.data_offset(member)
    except ZipBroken:
        return None


def _shifted(tensor: Tensor, start: int | None) -> Tensor:
    """The tensor at `start` plus its own offset in the storage, which the walk has noted in bytes."""
    return msgspec.structs.replace(tensor, offset=None if start is None else start + (tensor.offset or 0))


def read_stream(data: bytes, name: str) -> tuple[list[Trace], Found, str]:
    """One pickle in memory: its trace, its tensors, and why it broke (empty where it did not)."""
    machine = Machine(Source(None, data))
    try:
        trace = machine.run()
    except PickleBroken as error:
        machine.trace.refuse("")
        value = machine.stack[0] if machine.stack else None
        return [machine.trace], find_tensors(value, name), f"the pickle breaks at byte {error.offset:,}: {error}"
    if trace.end < len(data) and data[trace.end :].strip(b"\0"):
        trace.flag("suspicious", f"{count_of(len(data) - trace.end, 'byte')} follow the end of the pickle")
    return [trace], find_tensors(trace.value, name, held=trace.holds), ""


def _records(members: list[Member]) -> tuple[dict[str, Member], str]:
    """Members by their name below the archive's root, which is the first path component of the first member."""
    root = members[0].name.partition("/")[0] if members and "/" in members[0].name else ""
    prefix = f"{root}/" if root else ""
    return {member.name.removeprefix(prefix): member for member in reversed(members)}, root


def _copies(members: list[Member], root: str) -> list[Member]:
    """Every member that torch may take for `data.pkl`: its search ignores case (miniz, `mz_zip_reader_locate_file`)."""
    wanted = f"{root}/data.pkl".casefold() if root else "data.pkl"
    return [member for member in members if member.name.casefold() == wanted]


def _other_zip(file: RegularFile, report: FileReport, members: list[Member]) -> FileReport:
    names = [member.name for member in members]
    if "config.json" in names and any(name.endswith(".weights.h5") for name in names):
        return replace(report, format="keras_zip", metadata={"members": names[:50]})
    if names and all(name.endswith(".npy") for name in names):
        return numpy_files.read_zip(file, members)
    problem = Problem(
        "zip-not-a-checkpoint",
        f"is a zip of {count_of(len(names), 'member')} without data.pkl: {listing(names)}",
        report.name,
        loader_error=(
            "RuntimeError",
            "PytorchStreamReader failed locating file data.pkl: file not found",
        ),
    )
    return replace(report, format="zip", metadata={"members": names[:50]}).with_problems(problem)


def _unlistable(file: RegularFile, broken: ZipBroken) -> Problem:
    if broken.kind == "no-directory":
        return Problem(
            "zip-no-central-dir",
            f"begins as a torch zip, but {broken}: the file ends at byte {file.size:,}, cut off",
            file.name,
            file.size,
            loader_error=_no_directory(file.size),
        )
    return _corrupt(file, str(broken), "")


def _no_directory(size: int) -> tuple[str, str]:
    """What torch says of an archive without its directory (`PyTorchFileReader`, torch 2.13).

    Its zip reader goes back from the end in steps of 4,093 bytes and gives up after 65,557; in a file that is larger
    than its buffer of 4,096 and ends before that it seeks to a negative place.
    """
    if size < 22:
        return "RuntimeError", "PytorchStreamReader failed reading zip archive: not a ZIP archive"
    if 4096 < size < 4096 + 16 * 4093:
        return "OSError", "[Errno 22] Invalid argument"
    return "RuntimeError", "PytorchStreamReader failed reading zip archive: failed finding central directory"


def _corrupt(file: RegularFile, words: str, record: str) -> Problem:
    return Problem(
        "zip-record-corrupt",
        words,
        file.name,
        loader_error=(
            "RuntimeError",
            f"PytorchStreamReader failed reading {f'file {record}' if record else 'zip archive'}: invalid header or "
            "archive is corrupted",
        ),
    )


def _scripted(pickle: PickleReport) -> PickleReport:
    """A TorchScript archive is a program: never below `needs_code`, and refused by `weights_only`."""
    return replace(
        pickle,
        level="needs_code" if pickle.level == "tensors_only" else pickle.level,
        reasons=("is a TorchScript archive: it holds a program, not only weights", *pickle.reasons),
        weights_only_error=(
            "RuntimeError",
            "Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``.",
        ),
    )


def _structure(file: RegularFile, members: list[Member], records: dict[str, Member], found: Found) -> list[Problem]:
    """Storages that are absent, of the wrong size, or cut off; duplicate members."""
    problems: list[Problem] = []
    if len({member.name.casefold() for member in members}) < len(members):
        words = "two members of the archive share a name (torch's search ignores case)"
        problems.append(Problem("zip-duplicate-member", words, file.name, fatal=False))
    problems += _layout(file, members) + _silent(file, members)
    if found.outside:
        words = f"{count_of(len(found.outside), 'tensor')} reach beyond their storage: {listing(found.outside)}"
        error = ("RuntimeError", "Trying to resize storage that is not resizable")
        problems.append(Problem("torch-tensor-outside-storage", words, file.name, loader_error=error))
    missing: list[str] = []
    wrong: list[str] = []
    for key, storage in found.storages.items():
        member = records.get(f"data/{key}")
        if member is None:
            missing.append(f"data/{key}")
            continue
        bits = DTYPE_BITS.get(storage.dtype)
        if bits is not None and storage.numel >= 0 and member.size != storage.numel * bits // 8:
            wrong.append(f"data/{key} has {member.size:,} bytes, {storage.numel * bits // 8:,} are needed")
    if missing:
        problems.append(_corrupt(file, f"{count_of(len(missing), 'storage')} absent: {listing(missing)}", missing[0]))
    if wrong:
        problems.append(
            _corrupt(
                file, f"{count_of(len(wrong), 'storage')} of the wrong size: {listing(wrong)}", wrong[0].split()[0]
            )
        )
    beyond = [member.name for member in members if member.header + 30 + member.compressed > file.size]
    if beyond:
        problems.append(_corrupt(file, f"{count_of(len(beyond), 'member')} beyond the end: {listing(beyond)}", ""))
    return problems


def _silent(file: RegularFile, members: list[Member]) -> list[Problem]:
    """What torch's reader does not look at: records over one another, and bytes after the archive."""
    trailing = trailing_problems(file.name, file.size, archive_end(file))
    return overlap_problems(file.name, overlaps(members), "record") + trailing


def _layout(file: RegularFile, members: list[Member]) -> list[Problem]:
    """What torch's reader wants of an archive: one directory at its root, and a version."""
    root = members[0].name.partition("/")[0]
    stray = [member.name for member in members if not member.name.startswith(f"{root}/")]
    if stray:
        words = f"{listing(stray)} lies outside the archive's directory"
        said = f"file in archive is not in a subdirectory {root}/: {stray[0]}"
        return [Problem("zip-record-corrupt", words, file.name, loader_error=("RuntimeError", said))]
    if not {f"{root}/version", f"{root}/.data/version"} & {member.name for member in members}:
        return [_corrupt(file, "the record `version` is absent", "version")]
    return []
