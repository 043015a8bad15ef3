"""Every byte of the weights read once, in constant memory: checksums, CRCs, and values that cannot be meant.

Nothing is loaded. Each file is read from front to back; its sha256 is taken in a thread of its own while the values of
the tensors are looked at.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui.core.files import FileProblem, RegularFile, open_regular, read_small
from tui.core.formats.tensorflow import checksums
from tui.core.formats.tensorflow.crc32c import unmasked
from tui.core.formats.zip_directory import ZipBroken, data_offset, list_members
from tui.core.tensors import DTYPE_BITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tui.core.checkpoint import Checkpoint, FileReport
    from tui.core.formats.tensorflow.checksums import Stored
    from tui.core.tensors import Tensor

PIECE = 8 << 20
"""Bytes that are held at a time; a multiple of every element size."""

_EXPONENTS = {
    "F64": ("<u8", 0x7FF0000000000000), "F32": ("<u4", 0x7F800000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80),
    "F8_E5M2": ("u1", 0x7C),
}  # fmt: skip
"""(unsigned integer of the same width, mask of the exponent): all ones there means infinite or not a number."""

_WHOLE = {8: "u1", 16: "<u2", 32: "<u4", 64: "<u8", 128: "V16"}
"""An element of so many bits as one value that can be compared."""

_HASHED_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth?|bin|safetensors|ckpt)$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_TABLES = ("tensor_bundle", "tensorflow_v1")
_ARCHIVES = ("torch_zip", "torchscript", "torch_export", "npz")


class Stopped(Exception):
    """The user has cancelled."""


@dataclass(frozen=True)
class Known:
    """A checksum that is known without asking anybody, and where from."""

    sha256: str
    """64 hexadecimal digits, or the first few of them."""

    source: str


@dataclass(frozen=True)
class DeepFile:
    """What reading every byte of one file told."""

    name: str
    bytes: int
    sha256: str = ""
    known: Known | None = None
    broken_records: tuple[str, ...] = ()
    """Members of an archive whose CRC does not match."""

    broken_tensors: tuple[tuple[str, int, str], ...] = ()
    """(tensor or block, where it lies, what the two checksums are) where TensorFlow's own checksum does not match."""

    checked_tensors: int = 0
    """Tensors and slices whose stored checksum was compared."""

    not_finite: tuple[tuple[str, int], ...] = ()
    """(tensor, how many of its elements are infinite or not a number)."""

    constant: tuple[tuple[str, bool], ...] = ()
    """(tensor of more than one element whose elements are all equal, whether they are zero)."""

    digests: dict[str, str] = field(default_factory=dict)
    """A digest of the bytes of each tensor that was looked at."""

    unseen: int = 0
    """Tensors whose place in the file is not known, so that their values were not looked at."""

    problem: str = ""

    @property
    def matches(self) -> bool | None:
        """Whether the checksum is the known one; `None` where none is known."""
        return None if self.known is None or not self.sha256 else self.sha256.startswith(self.known.sha256)


@dataclass(frozen=True)
class DeepReport:
    """Every weight file of a checkpoint, read to its end."""

    files: tuple[DeepFile, ...]

    @property
    def duplicates(self) -> tuple[tuple[str, ...], ...]:
        """Names of tensors that hold the same bytes."""
        groups: dict[str, list[str]] = {}
        for file in self.files:
            for name, digest in file.digests.items():
                groups.setdefault(digest, []).append(name)
        return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def total_bytes(checkpoint: Checkpoint) -> int:
    """Bytes that `verify` will read."""
    return sum(file.size for file in checkpoint.weight_files)


def verify(
    checkpoint: Checkpoint, progress: Callable[[int], None] | None = None, stop: Callable[[], bool] | None = None
) -> DeepReport:
    """Read every weight file to its end; `progress` is told how many bytes were read, `Stopped` ends it early."""
    with ThreadPoolExecutor(1) as pool:
        reader = _Reader(pool, progress or (lambda _: None), stop or (lambda: False))
        return DeepReport(tuple(reader.file(checkpoint, file) for file in checkpoint.weight_files))


class _Reader:
    """Reads one file after the other; one thread beside it takes the checksum."""

    def __init__(self, pool: ThreadPoolExecutor, progress: Callable[[int], None], stop: Callable[[], bool]) -> None:
        self.pool = pool
        self.progress = progress
        self.stop = stop
        self._sums: dict[str, list[Stored]] | None = None

    def file(self, checkpoint: Checkpoint, report: FileReport) -> DeepFile:
        """One file, with what is known of its checksum."""
        path = checkpoint.root / report.name
        known = _known(checkpoint, report.name)
        try:
            with open_regular(path, report.name) as file:
                sums = self._stored(checkpoint, report)
                seen = _Values(_tensors(checkpoint, report), sums)
                digest = self._whole(file, seen)
                broken = tuple(_broken_records(file)) if report.format in _ARCHIVES else ()
                wrong = [(item.name, item.offset, _difference(item)) for item in seen.read if not item.matches]
                if report.format in _TABLES and report.fatal is None:
                    wrong += [(words, place, "") for words, place in checksums.broken_blocks(file)]
        except FileProblem as problem:
            return DeepFile(report.name, report.size, known=known, problem=problem.problem.message)
        return DeepFile(
            report.name,
            file.size,
            digest,
            known,
            broken,
            tuple(wrong),
            len(seen.read),
            tuple(seen.not_finite.items()),
            tuple(seen.constant.items()),
            seen.digests,
            seen.unseen,
        )

    def _stored(self, checkpoint: Checkpoint, report: FileReport) -> list[Stored]:
        """The checksums that an index has of this data shard; the index is read once for all of them."""
        if report.format != "tensor_bundle_data":
            return []
        if self._sums is None:
            self._sums = {}
            for other in checkpoint.files:
                if other.format == "tensor_bundle" and other.fatal is None:
                    with open_regular(checkpoint.root / other.name, other.name) as index:
                        self._sums.update(checksums.of_shards(index))
        return self._sums.get(report.name, [])

    def _whole(self, file: RegularFile, seen: _Values) -> str:
        """The file's sha256; every tensor's bytes pass `seen` on the way."""
        sha = hashlib.sha256()
        pending: Any = None
        for offset, count, span in seen.stretches(file.size):
            if self.stop():
                raise Stopped
            data = file.read(offset, count)
            if pending is not None:
                pending.result()
            pending = self.pool.submit(sha.update, data)
            if span is not None:
                seen.take(span, data, offset)
            self.progress(count)
        if pending is not None:
            pending.result()
        return sha.hexdigest()


@dataclass
class _Span:
    """Bytes that are looked at together: a tensor's values, a stored checksum's stretch, or both."""

    begin: int
    size: int
    tensor: Tensor | None = None
    stored: Stored | None = None


class _Values:
    """Looks at the bytes of tensors as they pass."""

    def __init__(self, tensors: list[Tensor], sums: list[Stored]) -> None:
        whole = [tensor for tensor in tensors if _is_whole(tensor)]
        by_place = {(item.offset, item.size): item for item in sums}
        spans = [
            _Span(tensor.offset or 0, tensor.nbytes, tensor, by_place.pop((tensor.offset or 0, tensor.nbytes), None))
            for tensor in whole
        ]
        spans += [_Span(item.offset, item.size, None, item) for item in by_place.values()]
        self.spans = sorted(spans, key=lambda span: span.begin)
        self.unseen = len(tensors) - len(whole)
        self.read: list[Stored] = []
        """The checksums whose stretches were read."""

        self.not_finite: dict[str, int] = {}
        self.constant: dict[str, bool] = {}
        self.digests: dict[str, str] = {}
        self._first: Any = None
        self._same = True
        self._digest = hashlib.blake2b(digest_size=16)

    def stretches(self, size: int) -> Iterator[tuple[int, int, _Span | None]]:
        """(offset, bytes, span) from the file's first byte to its last, in pieces; a shared storage counts once."""
        position = 0
        for span in self.spans:
            if span.begin < position or span.begin + span.size > size:
                continue
            yield from _pieces(position, span.begin, None)
            yield from _pieces(span.begin, span.begin + span.size, span)
            position = span.begin + span.size
        yield from _pieces(position, size, None)

    def take(self, span: _Span, data: bytes, offset: int) -> None:
        """The next bytes of a span."""
        if span.stored is not None:
            if offset == span.begin:
                self.read.append(span.stored)
            span.stored.update(data)
        if span.tensor is not None:
            self.look(span.tensor, data, offset)

    def look(self, tensor: Tensor, data: bytes, offset: int) -> None:
        """Count what is not finite, compare with the first element, add to the digest."""
        import numpy as np

        begin = tensor.offset or 0
        if offset == begin:
            self._same, self._first = True, None
            self._digest = hashlib.blake2b(digest_size=16)
        self._digest.update(data)
        if tensor.dtype in _EXPONENTS:
            kind, mask = _EXPONENTS[tensor.dtype]
            values = np.frombuffer(data, kind)
            odd = int(np.count_nonzero((values & values.dtype.type(mask)) == values.dtype.type(mask)))
            if odd:
                self.not_finite[tensor.name] = self.not_finite.get(tensor.name, 0) + odd
        else:
            values = np.frombuffer(data, _WHOLE.get(DTYPE_BITS[tensor.dtype], "u1"))
        if self._first is None:
            self._first = values[0]
        self._same = self._same and bool((values[-1] == self._first) and (values == self._first).all())
        if offset + len(data) == begin + tensor.nbytes:
            self.digests[tensor.name] = self._digest.hexdigest()
            if self._same and tensor.numel > 1:
                self.constant[tensor.name] = not any(self._first.tobytes())


def _is_whole(tensor: Tensor) -> bool:
    """Whether a tensor's bytes lie in one known stretch of whole elements."""
    bits = DTYPE_BITS.get(tensor.dtype, 0)
    return tensor.offset is not None and tensor.stride is None and tensor.nbytes > 0 and bits >= 8


def _tensors(checkpoint: Checkpoint, report: FileReport) -> list[Tensor]:
    """The tensors whose bytes lie in this file; an index names those of other files."""
    if report.format == "tensor_bundle_data":
        return [tensor for tensor in checkpoint.tensors if tensor.file == report.name]
    return [tensor for tensor in report.tensors if report.format != "tensor_bundle"]


def _difference(item: Stored) -> str:
    """The two checksums as TensorFlow says them."""
    return f"stored {unmasked(item.crc)} vs. calculated on the restored bytes {unmasked(item.computed)}"


def _pieces(begin: int, end: int, span: _Span | None) -> Iterator[tuple[int, int, _Span | None]]:
    for offset in range(begin, end, PIECE):
        yield offset, min(PIECE, end - offset), span


def _broken_records(file: RegularFile) -> Iterator[str]:
    """Members of an archive that are stored plain and whose CRC does not match their bytes."""
    try:
        members = list_members(file)
    except (ZipBroken, FileProblem):
        return
    for member in members:
        if member.method != 0:
            continue
        begin, crc = data_offset(file, member), 0
        for offset in range(begin, begin + member.size, PIECE):
            crc = zlib.crc32(file.read(offset, min(PIECE, begin + member.size - offset)), crc)
        if crc != member.crc:
            yield member.name


def _known(checkpoint: Checkpoint, name: str) -> Known | None:
    """The checksum that the file ought to have, as far as anything here says."""
    path = checkpoint.root / name
    if path.is_symlink():
        blob = path.resolve().name
        if _SHA256.match(blob):
            return Known(blob, "the name of its blob in the hub cache")
    match = _HASHED_NAME.search(name)
    if match is not None:
        return Known(match[1], "its own name")
    for suffix in (".sha256", ".sha256sum"):
        beside = path.with_name(path.name + suffix)
        if beside.is_file():
            try:
                word = read_small(beside, beside.name, 1 << 16).decode("ascii", "replace").split()
            except FileProblem:
                continue
            if word and _SHA256.match(word[0].lower()):
                return Known(word[0].lower(), beside.name)
    return None
