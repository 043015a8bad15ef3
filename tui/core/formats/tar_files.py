"""tar archives, `ustar` and the older v7: listed without extracting; pickles in them are walked, torch's are read.

torch before 0.4 saved a tar of `sys_info`, `pickle`, `storages` and `tensors` (`legacy_load` in
`torch/serialization.py` 2.13); many other tools call any tar of theirs `.pth.tar`, and many `.pth.tar` are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.formats import torch_legacy
from tui.core.formats.cursor import Cursor, CutShort
from tui.core.formats.pickles.judge import judge, weights_only_error
from tui.core.formats.pickles.machine import Machine
from tui.core.formats.pickles.trace import PickleBroken, Source, Trace
from tui.core.formats.pickles.values import Global, Storage, TensorValue
from tui.core.formats.pickles.walk import Found, find_tensors
from tui.core.problems import Problem
from tui.core.record import Record, replace
from tui.core.tensors import DTYPE_BITS, TORCH_STORAGE
from tui.core.text import count_of, listing

if TYPE_CHECKING:
    from tui.core.files import RegularFile

MAX_MEMBERS = 100_000
MAX_WALKED = 200
"""Members that are walked as pickles."""

_TORCH = frozenset({"sys_info", "pickle", "storages", "tensors"})
_BLOCK = 512


class Entry(Record, frozen=True):
    """One member."""

    name: str
    kind: str
    start: int
    size: int


class _Archive:
    """The bytes of an archive: a file, or what was inflated."""

    def __init__(self, file: RegularFile | None, data: bytes = b"") -> None:
        self.file = file
        self.data = data
        self.size = file.size if file is not None else len(data)

    def read(self, start: int, count: int) -> bytes:
        """At most `count` bytes."""
        count = max(min(count, self.size - start), 0)
        return self.file.read(start, count) if self.file is not None else self.data[start : start + count]

    def source(self, end: int) -> Source:
        """The same as a pickle's source that ends at `end`."""
        return Source(self.file, self.data, min(end, self.size))


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the first block is a header whose checksum is right: v7 archives have no magic."""
    return len(head) >= _BLOCK and head[:1] != b"\0" and _checksum(head[:_BLOCK])


def _checksum(block: bytes) -> bool:
    text = block[148:156].strip(b" \0")
    if not text or any(byte not in b"01234567" for byte in text):
        return False
    return int(text, 8) in (sum(block[:148]) + 256 + sum(block[156:]), _signed(block))


def _signed(block: bytes) -> int:
    return sum(byte - 256 if byte > 127 else byte for byte in block[:148] + b" " * 8 + block[156:])


def read(file: RegularFile) -> FileReport:
    """The members, torch's tensors, and what pickles among them ask for."""
    report = FileReport(file.name, "tar", file.size, modified=file.modified, allocated=file.blocks)
    return _read(report, _Archive(file))


def read_bytes(report: FileReport, data: bytes) -> FileReport:
    """The same for an archive in memory."""
    return _read(replace(report, format="tar"), _Archive(None, data))


def _read(report: FileReport, archive: _Archive) -> FileReport:
    entries, whole = _entries(archive)
    names = [entry.name for entry in entries]
    report.metadata["members"] = names[:50]
    problems: list[Problem] = []
    if not whole:
        words = f"ends inside a member: {count_of(len(entries), 'member')} could be listed"
        error = ("ReadError", "unexpected end of data")
        problems.append(Problem("file-truncated", words, report.name, archive.size, loader_error=error))
    parts = {entry.name: entry for entry in entries}
    if parts.keys() >= _TORCH:
        return _torch(report, archive, parts, problems)
    traces, broken, walked = _walk_members(archive, entries)
    if walked:
        pickle = judge(traces, Found(), broken)
        report = replace(report, pickle=pickle)
        report.metadata["pickles"] = walked[:50]
    escaping = [name for name in names if name.startswith("/") or ".." in name.split("/")]
    if escaping:
        words = f"{count_of(len(escaping), 'member')} lead out of the directory: {listing(escaping)}"
        problems.append(Problem("archive-escapes", words, report.name, fatal=False))
    return replace(report, problems=tuple(problems))


def _entries(archive: _Archive) -> tuple[list[Entry], bool]:
    """Every member, and whether the archive holds them whole."""
    entries: list[Entry] = []
    position, long_name = 0, ""
    while position + _BLOCK <= archive.size and len(entries) < MAX_MEMBERS:
        block = archive.read(position, _BLOCK)
        if not block.strip(b"\0"):
            return entries, True
        if not _checksum(block):
            return entries, False
        size = _size(block[124:136])
        kind = chr(block[156]) if block[156] else "0"
        name = long_name or _name(block)
        start = position + _BLOCK
        if size < 0 or start + size > archive.size:
            return entries, False
        long_name = ""
        if kind == "L":
            long_name = archive.read(start, min(size, 4096)).rstrip(b"\0").decode("utf-8", "backslashreplace")
        elif kind == "x":
            long_name = _pax_name(archive.read(start, min(size, 1 << 16)))
        elif kind != "g":
            entries.append(Entry(name, kind, start, size))
        position = start + -(-size // _BLOCK) * _BLOCK
    return entries, not archive.read(position, _BLOCK).strip(b"\0")


def _pax_name(data: bytes) -> str:
    """The `path` of a PAX header: records of `LENGTH KEY=VALUE` and a newline."""
    for record in data.split(b"\n"):
        key, separator, value = record.partition(b" ")[2].partition(b"=")
        if separator and key == b"path":
            return value.decode("utf-8", "backslashreplace")
    return ""


def _size(text: bytes) -> int:
    """Octal, or base 256 where the first bit is set; -1 where it is neither."""
    if text[0] & 0x80:
        return int.from_bytes(text[1:], "big")
    digits = text.strip(b" \0")
    return int(digits or b"0", 8) if all(byte in b"01234567" for byte in digits) else -1


def _name(block: bytes) -> str:
    name = block[:100].rstrip(b"\0")
    if block[257:262] == b"ustar" and block[345:500].rstrip(b"\0"):
        name = block[345:500].rstrip(b"\0") + b"/" + name
    return name.split(b"\0")[0].decode("utf-8", "backslashreplace")


def _walk_members(archive: _Archive, entries: list[Entry]) -> tuple[list[Trace], str, list[str]]:
    """Members that begin as pickles do, walked."""
    traces: list[Trace] = []
    broken = ""
    walked: list[str] = []
    for entry in entries:
        head = archive.read(entry.start, min(entry.size, 512))
        if entry.kind not in "07" or not torch_legacy.matches(head, entry.name, entry.size):
            continue
        if len(walked) >= MAX_WALKED:
            return traces, f"holds more than {MAX_WALKED} pickles: not all were read", walked
        walked.append(entry.name)
        position = entry.start
        while position < entry.start + entry.size:
            machine = Machine(archive.source(entry.start + entry.size), position)
            try:
                traces.append(machine.run())
            except PickleBroken as error:
                if position == entry.start:
                    broken = f"{entry.name} breaks at byte {error.offset:,}: {error}"
                    traces.append(machine.trace)
                break
            position = machine.trace.end
    return traces, broken, walked


def _torch(report: FileReport, archive: _Archive, parts: dict[str, Entry], problems: list[Problem]) -> FileReport:
    """torch's own tar: storages, views on them, and the pickle that names the views by number."""
    reader = _TorchTar(archive)
    broken = ""
    value: Any = None
    try:
        reader.storages(parts["storages"])
        reader.tensors(parts["tensors"])
        value, _ = reader.pickle(parts["pickle"].start, parts["pickle"])
    except (PickleBroken, CutShort) as error:
        broken = f"breaks at byte {error.offset:,}: {error}"
        problems.append(Problem("torch-legacy-truncated", broken, report.name, error.offset))
    except (TypeError, ValueError, IndexError) as error:
        broken = f"is not what torch writes: {error}"
        problems.append(Problem("torch-legacy-truncated", broken, report.name))
    found = find_tensors(value, report.name, stored=reader.views)
    pickle = judge(reader.traces, found, broken)
    refusal = weights_only_error("")[1].removeprefix("Weights only load failed. ").strip()
    words = f"Cannot use ``weights_only=True`` with files saved in the legacy .tar format. {refusal}"
    pickle = replace(pickle, weights_only_error=("RuntimeError", words))
    return replace(report, format="torch_tar", tensors=tuple(found.tensors), pickle=pickle, problems=tuple(problems))


class _TorchTar:
    """Reads the members of torch's tar one after another."""

    def __init__(self, archive: _Archive) -> None:
        self.archive = archive
        self.traces: list[Trace] = []
        self.known: dict[str, Storage] = {}
        self.views: dict[str, TensorValue] = {}

    def pickle(self, position: int, entry: Entry) -> tuple[Any, int]:
        """One pickle's value, and where it ends."""
        machine = Machine(self.archive.source(entry.start + entry.size), position)
        self.traces.append(machine.trace)
        trace = machine.run()
        if len(self.traces) > 4:  # thousands of tiny pickles hold one triple each: their names are kept, not they
            self.traces[3].absorb(self.traces.pop())
        return trace.value, trace.end

    def storages(self, entry: Entry) -> None:
        """A count; for each storage (key, location, type), its element count in 8 bytes, its bytes."""
        count, position = self.pickle(entry.start, entry)
        end = entry.start + entry.size
        for _ in range(_bounded(count, entry)):
            (key, location, kind), position = self.pickle(position, entry)
            dtype = TORCH_STORAGE.get(kind.name if isinstance(kind, Global) else "", "unknown")
            cursor = self._cursor(position, end)
            numel = cursor.number("q")
            cursor.skip(numel * DTYPE_BITS.get(dtype, 8) // 8)
            self.known[str(key)] = Storage(dtype, str(key), str(location), numel)
            position = cursor.position
        views, _ = self.pickle(position, entry)
        for view in views if isinstance(views, list) else []:
            target, root, _offset, numel = view
            base = self.known[str(root)]
            self.known[str(target)] = Storage(base.dtype, base.key, base.device, numel)

    def tensors(self, entry: Entry) -> None:
        """A count; for each tensor (key, storage, type), then dimensions, sizes, strides and offset as numbers."""
        count, position = self.pickle(entry.start, entry)
        end = entry.start + entry.size
        for _ in range(_bounded(count, entry)):
            (key, storage, _kind), position = self.pickle(position, entry)
            cursor = self._cursor(position, end)
            dimensions = cursor.number("i")
            cursor.skip(4)
            if not 0 <= dimensions <= 64:
                raise ValueError(f"a tensor of {dimensions} dimensions")
            shape, stride = cursor.numbers("q", dimensions), cursor.numbers("q", dimensions)
            base = self.known.get(str(storage))
            if base is None:
                raise ValueError(f"a tensor of a storage that is not there: {str(storage)[:40]}")
            self.views[str(key)] = TensorValue(base.dtype, shape, stride, base, cursor.number("q"))
            position = cursor.position

    def _cursor(self, position: int, end: int) -> Cursor:
        return Cursor(self.archive.file, position, end, data=self.archive.data, window=1 << 12)


def _bounded(count: Any, entry: Entry) -> int:
    """A count that the member can hold: each item takes ten bytes at least."""
    if not isinstance(count, int) or not 0 <= count <= entry.size // 10 + 1:
        raise ValueError(f"a count of {str(count)[:40]}")
    return count
