"""What every report says of one checkpoint: small, without its tensors, and fit to be sent between processes."""

from __future__ import annotations

from typing import Any

import msgspec

from tui.core.diagnosis.evidence import Finding


class Safety(msgspec.Struct, frozen=True):
    """What its pickles may do."""

    level: str
    globals: tuple[str, ...]
    """Names outside the allow-list, in the order of the file."""


class Summary(msgspec.Struct, frozen=True):
    """One checkpoint with its verdict and findings."""

    path: str
    kind: str
    verdict: str
    basis: str
    model_class: str | None
    """The class that the verdict speaks of."""

    tensors: int | None
    """`None` where none could be read."""

    parameters: int | None
    bytes: int
    findings: tuple[Finding, ...] = ()
    """The worst first."""

    safety: Safety | None = None
    is_file: bool = False
    has_files: bool = True
    """Whether there is any file that holds, or claims to hold, weights."""


def finding_json(item: Finding) -> dict[str, Any]:
    """A finding as the contract has it."""
    return {
        "rule": item.rule,
        "severity": item.severity,
        "title": item.title,
        "file": item.file,
        "evidence": list(item.evidence),
        "cause": item.cause,
        "fix": list(item.fix),
        "confidence": item.confidence,
    }


def summary_json(summary: Summary) -> dict[str, Any]:
    """A checkpoint as the contract has it."""
    out: dict[str, Any] = {
        "path": summary.path,
        "kind": summary.kind,
        "verdict": summary.verdict,
        "basis": summary.basis,
        "model_class": summary.model_class,
        "tensors": summary.tensors,
        "parameters": summary.parameters,
        "bytes": summary.bytes,
        "findings": [finding_json(item) for item in summary.findings],
    }
    if summary.safety is not None:
        out["safety"] = {"level": summary.safety.level, "globals": list(summary.safety.globals)}
    return out
