"""Every byte of the weights read once, in constant memory: checksums, CRCs, holes, and values that cannot be meant.

Nothing is loaded. Each file is read from front to back; its sha256 is taken in a thread of its own while the values of
the tensors are looked at. How far it came is kept now and then, and a later run goes on there.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tui.core import tensor_bytes
from tui.core.deep.checks import Stretch, broken_blocks, stretches
from tui.core.deep.known import known
from tui.core.deep.progress import Broken, Memory, Progress, keep, restore
from tui.core.deep.report import DeepFile, DeepReport
from tui.core.deep.sha256 import Sha256
from tui.core.deep.values import GRAIN, Look, Place, goes_on, look, pieces, places
from tui.core.files import FileProblem, RegularFile, open_regular
from tui.core.pace import Stopped
from tui.core.record import replace

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from tui.core.checkpoint import Checkpoint, FileReport
    from tui.core.deep.known import Known
    from tui.core.tensors import Tensor

PIECE = 1 << 20
"""Bytes that are held at a time, twice."""

KEEP_SECONDS = 10.0
"""How often the place is kept while a file is read."""

LARGE = 1 << 16
"""Bytes from which a tensor is compared with those of the same sum."""


def verify(
    checkpoint: Checkpoint,
    progress: Callable[[int], None] | None = None,
    stop: Callable[[], bool] | None = None,
    memory: Memory | None = None,
    skipped: Callable[[int], None] | None = None,
) -> DeepReport:
    """Read every weight file to its end; `progress` is told how many bytes were read, `Stopped` ends it early.

    With `memory` the place where a run was ended is kept, and `skipped` is told of bytes that need not be read again.
    """
    tell = progress or (lambda _: None)
    with ThreadPoolExecutor(1) as pool:
        reader = _Reader(checkpoint, pool, tell, stop or (lambda: False), memory, skipped or tell)
        files = tuple(reader.file(report) for report in checkpoint.weight_files)
    return DeepReport(files, _duplicates(checkpoint, reader.looks, stop))


class _Reader:
    """Reads one file after the other; one thread beside it takes the checksum."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        pool: ThreadPoolExecutor,
        progress: Callable[[int], None],
        stop: Callable[[], bool],
        memory: Memory | None,
        skipped: Callable[[int], None],
    ) -> None:
        self.checkpoint = checkpoint
        self.pool = pool
        self.progress = progress
        self.stop = stop
        self.memory = memory
        self.skipped = skipped
        self.buffers = (bytearray(PIECE + GRAIN), bytearray(PIECE + GRAIN))
        self.looks: dict[tuple[str, str], Look] = {}
        """By file and name every tensor that was looked at."""

        self.tensors: dict[str, list[tuple[Tensor, FileReport | None]]] = {}
        for report in checkpoint.weight_files:
            for tensor in report.tensors:
                self.tensors.setdefault(tensor.file, []).append((tensor, report))

    def file(self, report: FileReport) -> DeepFile:
        """One file, with what is known of its checksum."""
        expected = known(self.checkpoint, report.name)
        held = self.tensors.get(report.name, [])
        try:
            with open_regular(self.checkpoint.root / report.name, report.name) as file:
                found = places(held, file.size)
                done = restore(self.memory, file)
                if done.sha256:
                    self.skipped(done.offset)
                else:
                    self._whole(file, found, self._stretches(report, held, file), done)
                told = _told(file, done, found, expected, len(held) - len(found))
                blocks = broken_blocks(report, file)
                if blocks:
                    told = replace(told, broken_tensors=told.broken_tensors + blocks)
        except FileProblem as problem:
            return DeepFile(report.name, report.size, known=expected, problem=problem.problem.message)
        self.looks.update(((report.name, name), seen) for name, seen in done.looks.items())
        return told

    def _stretches(
        self, report: FileReport, held: list[tuple[Tensor, FileReport | None]], file: RegularFile
    ) -> list[Stretch]:
        """What carries a checksum of its own; a bundle's tensors lie in another file than their index."""
        owner = held[0][1] if held else None
        index = owner.name if owner is not None and owner.format == "tensor_bundle" else None
        return stretches(self.checkpoint.root, report, index, file)

    def _whole(self, file: RegularFile, found: list[Place], summed: list[Stretch], done: Progress) -> None:
        """Read on from where `done` stands; what is in the bytes is looked at on the way."""
        sha = _taken_up(file, found, done)
        self.skipped(done.offset)
        pending: Future[None] | None = None
        kept, sums = time.monotonic(), _Sums(summed, done)
        try:
            for number, (begin, end, inside) in enumerate(pieces(found, done.offset, file.size, PIECE)):
                view = memoryview(self.buffers[number % 2])[: end - begin]
                file.read_into(begin, view)
                if pending is not None:
                    pending.result()
                if self.stop():
                    pending = None
                    raise Stopped
                if time.monotonic() - kept >= KEEP_SECONDS:
                    self._keep(file, done, sha)
                    kept = time.monotonic()
                pending = self.pool.submit(sha.update, view)
                for place in inside:
                    _look(done.looks, place, view, begin, end)
                sums.add(view, begin, end)
                done.offset = end
                self.progress(end - begin)
        except Stopped:
            self._keep(file, done, sha)
            raise
        if pending is not None:
            pending.result()
        done.sha256 = sha.hexdigest()
        keep(self.memory, file, done)

    def _keep(self, file: RegularFile, done: Progress, sha: Sha256) -> None:
        """Keep the place, where the checksum's state can be kept."""
        state = sha.state
        if state is not None:
            done.sha_count, done.sha_words = state
            keep(self.memory, file, done)


def _told(file: RegularFile, done: Progress, found: list[Place], expected: Known | None, unseen: int) -> DeepFile:
    """What was noted of a file, as it is told."""
    many = {place.tensor.name for place in found if place.tensor.numel > 1}
    looks = done.looks.items()
    return DeepFile(
        file.name,
        file.size,
        done.sha256,
        expected,
        tuple(item.name for item in done.broken if not item.castagnoli),
        tuple((item.name, item.offset, _difference(item)) for item in done.broken if item.castagnoli),
        done.checked,
        tuple((tensor, seen.not_finite) for tensor, seen in looks if seen.not_finite),
        tuple((tensor, not seen.first.strip("0")) for tensor, seen in looks if seen.same and tensor in many),
        _in_holes(file, found),
        unseen,
    )


def _difference(item: Broken) -> str:
    """The two checksums as TensorFlow says them."""
    return f"stored {item.stored} vs. calculated on the restored bytes {item.computed}"


class _Sums:
    """The checksums of stretches, taken as their bytes pass."""

    def __init__(self, summed: list[Stretch], done: Progress) -> None:
        self.done = done
        whole = [item for item in summed if item.strings is None or item.begin >= done.offset]
        self.left = [item for item in reversed(whole) if item.end > done.offset]
        """Those still to come, the next one last."""

    def add(self, view: memoryview, begin: int, end: int) -> None:
        """A piece of the file."""
        while self.left and self.left[-1].begin < end:
            item = self.left[-1]
            first, last = max(item.begin, begin), min(item.end, end)
            before = 0 if first == item.begin else self.done.crc
            self.done.crc = item.add(before, view[first - begin : last - begin])
            if last < item.end:
                return
            self.done.checked += item.castagnoli
            if self.done.crc != item.expected or (item.strings is not None and not item.strings.matches):
                self.done.broken.append(Broken(item.name, item.begin, item.expected, self.done.crc, item.castagnoli))
            self.left.pop()


def _taken_up(file: RegularFile, found: list[Place], done: Progress) -> Sha256:
    """The checksum of the bytes before `done.offset`; those after the last whole block are read again.

    A record that does not fit the tensors, or that only a libcrypto could go on with, is forgotten.
    """
    inside = [place for place in found if place.begin < done.offset < place.end]
    try:
        if done.offset and all(goes_on(done.looks.get(place.tensor.name), place) for place in inside):
            sha = Sha256(done.sha_words, done.sha_count)
            sha.update(file.read(done.sha_count, done.offset - done.sha_count))
            return sha
    except ValueError:
        pass
    done.offset, done.looks, done.crc, done.broken, done.checked = 0, {}, 0, [], 0
    return Sha256()


def _look(looks: dict[str, Look], place: Place, view: memoryview, begin: int, end: int) -> None:
    """The part of a piece that is a tensor's."""
    first, last = max(place.begin, begin), min(place.end, end)
    starts = first == place.begin
    if starts:
        looks[place.tensor.name] = Look()
    look(looks[place.tensor.name], place, view[first - begin : last - begin], starts)


def _in_holes(file: RegularFile, found: list[Place]) -> tuple[str, ...]:
    """Tensors that reach into a hole of the file."""
    names: list[str] = []
    index = 0
    for begin, end in file.holes():
        while index < len(found) and found[index].end <= begin:
            index += 1
        while index < len(found) and found[index].begin < end:
            names.append(found[index].tensor.name)
            index += 1
    return tuple(names)


def _duplicates(
    checkpoint: Checkpoint, looks: dict[tuple[str, str], Look], stop: Callable[[], bool] | None
) -> tuple[tuple[str, ...], ...]:
    """Large tensors of the same sum, compared by their bytes; constant ones say nothing."""
    groups: dict[tuple[str, tuple[int, ...], int], list[str]] = {}
    for tensor in checkpoint.tensors:
        seen = looks.get((tensor.file, tensor.name))
        if seen is not None and not seen.same and tensor.nbytes >= LARGE:
            groups.setdefault((tensor.dtype, tensor.shape, seen.total), []).append(tensor.name)
    out: list[tuple[str, ...]] = []
    for first, *others in groups.values():
        if stop is not None and stop():
            raise Stopped
        equal = [name for name in others if tensor_bytes.equal(checkpoint, first, name, stop)]
        if equal:
            out.append((first, *equal))
    return tuple(out)
