"""What a triage found: the one source of every output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui import __version__
from tui.core.checkpoint import LEVELS, Checkpoint
from tui.core.diagnosis.rules import diagnose, verdict

if TYPE_CHECKING:
    from tui.core.compare import Comparison
    from tui.core.diagnosis.evidence import Evidence, Finding
    from tui.core.estimate import Estimate


@dataclass(frozen=True)
class Triage:
    """One checkpoint with its verdict and findings."""

    checkpoint: Checkpoint
    verdict: str
    basis: str
    findings: tuple[Finding, ...] = ()
    comparison: Comparison | None = None
    estimate: Estimate | None = None

    @property
    def model_class(self) -> str | None:
        """The class that the verdict speaks of."""
        if self.comparison is not None and self.comparison.model_class is not None:
            return self.comparison.model_class
        config = self.checkpoint.settings
        names = config.get("architectures")
        return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None

    @property
    def worst(self) -> str:
        """The severity of the worst finding, empty where there is none."""
        return self.findings[0].severity if self.findings else ""


def triage_of(evidence: Evidence) -> Triage:
    """Diagnose one checkpoint."""
    found = diagnose(evidence)
    words, basis = verdict(evidence, found)
    return Triage(evidence.checkpoint, words, basis, found, evidence.comparison, evidence.estimate)


@dataclass(frozen=True)
class Report:
    """A whole run of `check`."""

    triages: tuple[Triage, ...] = ()
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    isolation: str = ""
    """How the worker was shut in, empty where none was asked."""

    def count(self, word: str) -> int:
        """How many checkpoints have this verdict."""
        return sum(1 for triage in self.triages if triage.verdict == word)

    def fails_on(self, level: str) -> bool:
        """Whether a finding at or above `level` (`error`, `warning`, `never`) is there."""
        wanted = {"error": ("error",), "warning": ("error", "warning"), "never": ()}[level]
        return any(item.severity in wanted for triage in self.triages for item in triage.findings)


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


def triage_json(triage: Triage) -> dict[str, Any]:
    """A checkpoint as the contract has it."""
    checkpoint = triage.checkpoint
    readable = bool(checkpoint.tensors)
    out: dict[str, Any] = {
        "path": checkpoint.path,
        "kind": checkpoint.kind,
        "verdict": triage.verdict,
        "basis": triage.basis,
        "model_class": triage.model_class,
        "tensors": len(checkpoint.tensors) if readable else None,
        "parameters": checkpoint.parameters if readable else None,
        "bytes": checkpoint.bytes,
        "findings": [finding_json(item) for item in triage.findings],
    }
    if checkpoint.pickles:
        worst = max((pickle.level for _, pickle in checkpoint.pickles), key=LEVELS.index)
        names = dict.fromkeys(name for _, pickle in checkpoint.pickles for name in pickle.unlisted)
        out["safety"] = {"level": worst, "globals": list(names)}
    return out


def report_json(report: Report) -> dict[str, Any]:
    """`check --json`."""
    return {
        "schema": 1,
        "tool": {"name": "ckptriage", "version": __version__},
        "environment": {"python": report.python, "packages": report.packages, "isolation": report.isolation or None},
        "checkpoints": [triage_json(triage) for triage in report.triages],
    }
