"""Environment, memory, and what a load attempt showed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tui.core.diagnosis.make import finding
from tui.core.diagnosis.messages import rules_in
from tui.core.diagnosis.pages import PAGES
from tui.core.text import bytes_size, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint, FileReport
    from tui.core.diagnosis.evidence import Evidence, Finding

_NEEDS = {
    "transformers": "transformers", "torch": "torch", "lightning": "torch", "torchscript": "torch", "keras": "keras",
    "tensorflow_saved_model": "tensorflow", "tensorflow_hub_module": "tensorflow", "tensorflow_graph": "tensorflow",
    "tensorflow_checkpoint": "tensorflow",
}  # fmt: skip


def not_asked(evidence: Evidence) -> Iterator[Finding]:
    """The loader was wanted and could not be asked."""
    if evidence.not_asked and evidence.checkpoint.kind == "transformers":
        yield finding("environment-not-asked", [printable(evidence.not_asked)])


def no_framework(evidence: Evidence) -> Iterator[Finding]:
    """The framework that would load it is not installed there."""
    package = _NEEDS.get(evidence.checkpoint.kind)
    if package is None or evidence.packages is None or package in evidence.packages:
        return
    yield finding(
        "environment-no-framework",
        [f"{package} is not installed in this environment (Python {evidence.python or 'unknown'})"],
        fix=(f"pip install {package}",),
    )


_READERS = {"gguf": "gguf", "onnx": "onnx", "numpy": "numpy", "pickle": "joblib"}
"""The package whose reader an attempt uses, by kind."""


def no_reader(evidence: Evidence) -> Iterator[Finding]:
    """An attempt that ended because the format's own package is not there: this says nothing of the file."""
    ended, package = evidence.outcome, _READERS.get(evidence.checkpoint.kind)
    if ended is None or package is None or ended.error_type not in ("ModuleNotFoundError", "ImportError"):
        return
    if f"'{package}'" in ended.message:
        yield finding(
            "environment-no-framework",
            [f"{printable(ended.error_type)}: {printable(ended.message, 200)}"],
            title=f"{package} is not in this environment",
            fix=(f"pip install {package}",),
        )


def memory(evidence: Evidence) -> Iterator[Finding]:
    """More memory than there is, or a mapping that the system refuses."""
    made, available = evidence.estimate, evidence.available
    if made is None or available is None or made.verdict not in ("exceeds", "refused"):
        return
    if made.verdict == "refused":
        yield finding(
            "memory-mmap-refused",
            [
                f"one file of {bytes_size(made.largest_mapping)}, the system maps at most "
                f"{bytes_size(available.mappable)}",
                f"{bytes_size(made.shortfall)} too much",
            ],
            fix=made.advice[1:],
        )
        return
    must = max(made.load_peak or 0, made.run or 0)
    yield finding(
        "memory-cgroup-limit" if available.ram_source.startswith("cgroup") else "memory-host-oom-killed",
        [
            f"must have {bytes_size(must)} of RAM as {made.dtype}; free {bytes_size(available.ram)} of "
            f"{bytes_size(available.ram_total)} ({available.ram_source})",
            f"{bytes_size(made.shortfall)} too little",
        ],
        title=f"Loading needs {bytes_size(must)}, {bytes_size(available.ram)} are free",
        fix=made.advice,
    )


def optimizer_state(evidence: Evidence) -> Iterator[Finding]:
    """An optimizer's state that a GPU here cannot take: restoring puts it beside the model."""
    file = evidence.checkpoint.by_name.get("optimizer.pt")
    free = [device.free for device in (evidence.available.devices if evidence.available else ()) if device.free]
    if file is not None and free and file.size > max(free):
        yield finding(
            "memory-optimizer-state",
            [f"optimizer.pt: {bytes_size(file.size)}; the freest GPU has {bytes_size(max(free))}"],
            file=file.name,
            severity="warning",
        )


def changed_files(checkpoint: Checkpoint) -> list[tuple[FileReport, int | None]]:
    """Weight files that are no longer of the size they were read with, and the size now; `None` for a file gone."""
    found: list[tuple[FileReport, int | None]] = []
    for file in checkpoint.weight_files:
        try:
            size = os.stat(checkpoint.root / file.name).st_size
        except OSError:
            size = None
        if size != file.size and file.format != "unreadable":
            found.append((file, size))
    return found


def changed(evidence: Evidence) -> Iterator[Finding]:
    """A load that failed on other bytes than were judged: something wrote the file meanwhile."""
    if evidence.outcome is None or evidence.outcome.kind not in ("failed", "killed"):
        return
    for file, size in changed_files(evidence.checkpoint):
        now = "gone" if size is None else f"{size:,} bytes"
        yield finding(
            "file-changed",
            [f"{printable(file.name)}: {file.size:,} bytes when it was looked at, after the load {now}"],
            title=f"{printable(file.name)} changed while it was loaded",
            file=file.name,
            severity="error",
        )


def outcome(evidence: Evidence) -> Iterator[Finding]:
    """A load attempt that did not end as the files say."""
    ended = evidence.outcome
    if ended is None or ended.kind in ("loaded", "cancelled", "refused"):
        return
    rule = "load-failed" if ended.kind == "failed" else "load-killed"
    first = (ended.message.strip().splitlines() or [""])[0]
    lines = [f"{printable(ended.error_type)}: {printable(first, 300)}"]
    told = rules_in(f"{ended.error_type}: {ended.message}") if ended.kind == "failed" else []
    page = PAGES[told[0][0]] if told else None
    if page is not None:
        lines.append(f"these are the words of {page.rule}: {page.title}")
    yield finding(
        rule,
        lines,
        title=f"The load attempt {'failed' if ended.kind == 'failed' else 'was ended'}: {printable(ended.error_type)}",
        severity="error",
        cause=page.cause if page is not None else "",
        fix=(page.fix,) if page is not None else (),
    )
