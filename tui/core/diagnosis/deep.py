"""What reading every byte told: checksums, CRCs, values that cannot be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.make import copy_again, fetch_again, finding
from tui.core.text import count_of, listing, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tui.core.checkpoint import Checkpoint
    from tui.core.deep.report import DeepFile, DeepReport
    from tui.core.diagnosis.evidence import Finding
    from tui.core.tensors import Tensor


def checksums(evidence: Evidence) -> Iterator[Finding]:
    """Bytes that are not those of the source, or that are and are damaged all the same."""
    for file in evidence.deep.files if evidence.deep is not None else ():
        report = evidence.checkpoint.by_name.get(file.name)
        damaged = report is not None and report.fatal is not None
        if file.matches is False and file.known is not None:
            yield finding(
                "file-sha256-mismatch",
                [f"{file.name}: sha256 {file.sha256}", f"{file.known.source} says {file.known.sha256}"],
                file=file.name,
                fix=fetch_again(evidence.checkpoint, file.name),
            )
        elif file.matches and damaged and file.known is not None:
            yield finding(
                "file-upstream-corrupt",
                [f"{file.name}: sha256 {file.sha256} is what {file.known.source} says, and the file does not parse"],
                file=file.name,
            )


def records(evidence: Evidence) -> Iterator[Finding]:
    """Members of an archive whose CRC does not match."""
    for file in evidence.deep.files if evidence.deep is not None else ():
        if file.broken_records:
            shown = listing([printable(name, 80) for name in file.broken_records], 4)
            yield finding(
                "zip-record-crc",
                [f"{file.name}: CRC does not match in {count_of(len(file.broken_records), 'record')}: {shown}"],
                file=file.name,
                fix=fetch_again(evidence.checkpoint, file.name),
            )


def bundles(evidence: Evidence) -> Iterator[Finding]:
    """Tensors and tables of TensorFlow that do not match the checksums stored with them."""
    checkpoint = evidence.checkpoint
    sizes = {tensor.name: tensor.nbytes for tensor in checkpoint.tensors}
    for file in evidence.deep.files if evidence.deep is not None else ():
        if not file.broken_tensors:
            continue
        shown = [
            f"{printable(name, 120)} at byte {offset:,}" + (f" ({sizes[name]:,} bytes)" if name in sizes else "")
            for name, offset, _ in file.broken_tensors[:8]
        ]
        name, _, words = file.broken_tensors[0]
        said = "Unable to read file … block checksum mismatch"
        if words:
            said = f"TensorBundle at … ({sizes.get(name, 0)} bytes): Checksum does not match: {words}"
        kept = f", the other {file.checked_tensors - len(file.broken_tensors):,} match" if file.checked_tensors else ""
        yield finding(
            "tensorflow-checksum",
            [
                f"{file.name}: {count_of(len(file.broken_tensors), 'checksum')} "
                f"{'does' if len(file.broken_tensors) == 1 else 'do'} not match{kept}",
                *shown,
                f"the loader says: DataLossError: {said}",
            ],
            title=f"Bits of {printable(name, 80)} have changed",
            file=file.name,
            fix=copy_again(checkpoint, file.name),
            offset=file.broken_tensors[0][1],
        )


def values(evidence: Evidence) -> Iterator[Finding]:
    """Infinite or undefined values, and tensors of one value."""
    for file in evidence.deep.files if evidence.deep is not None else ():
        if file.not_finite:
            shown = [f"{printable(name, 80)} ({count:,})" for name, count in file.not_finite]
            yield finding(
                "tensor-not-finite",
                [f"{file.name}: infinite or undefined values in {count_of(len(shown), 'tensor')}: {listing(shown, 4)}"],
                file=file.name,
            )
        yield from _constant(file, {tensor.name: tensor for tensor in evidence.checkpoint.tensors})


def _constant(file: DeepFile, held: Mapping[str, Tensor]) -> Iterator[Finding]:
    """Matrices of one value: layers that were never trained, or never written. Biases and norms are often constant."""
    matrices = {name for name, _ in file.constant if name in held and len(held[name].shape) > 1}
    zero = [name for name, is_zero in file.constant if is_zero and (name.endswith("weight") or name in matrices)]
    if zero:
        shown = listing([printable(name, 80) for name in zero], 6)
        yield finding("tensor-all-zero", [f"{file.name}: {shown}"], file=file.name)
    same = [name for name, is_zero in file.constant if not is_zero and name in matrices]
    if same:
        shown = listing([printable(name, 80) for name in same], 6)
        yield finding("tensor-constant", [f"{file.name}: {shown}"], file=file.name)


def duplicates(evidence: Evidence) -> Iterator[Finding]:
    """Large tensors that hold the same bytes under several names."""
    groups = evidence.deep.duplicates if evidence.deep is not None else ()
    if groups:
        shown = [" = ".join(printable(name, 60) for name in group[:3]) for group in groups]
        yield finding("tensor-duplicate", [f"{count_of(len(groups), 'group')}: {listing(shown, 4)}"])


def holes(evidence: Evidence) -> Iterator[Finding]:
    """Tensors whose bytes were never written."""
    for file in evidence.deep.files if evidence.deep is not None else ():
        if file.in_holes and not file.matches:
            shown = listing([printable(name, 80) for name in file.in_holes], 4)
            yield finding(
                "file-sparse-holes",
                [f"{file.name}: {count_of(len(file.in_holes), 'tensor')} in holes: {shown}"],
                file=file.name,
                fix=fetch_again(evidence.checkpoint, file.name),
                confidence="likely",
            )


RULES = (checksums, records, bundles, values, duplicates, holes)
"""In the order in which they are asked."""


def findings(report: DeepReport, checkpoint: Checkpoint) -> tuple[Finding, ...]:
    """What reading every byte found, and nothing else."""
    evidence = Evidence(checkpoint, deep=report)
    return tuple(item for rule in RULES for item in rule(evidence))
