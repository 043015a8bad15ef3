"""What a triage found, and the report made of many: the one source of every output."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from tui import __version__
from tui.core.checkpoint import LEVELS, Checkpoint
from tui.core.diagnosis.rules import diagnose, verdict
from tui.core.record import Record, field
from tui.core.report.summary import Safety, Summary, summary_json

if TYPE_CHECKING:
    from tui.core.compare import Comparison
    from tui.core.diagnosis.evidence import Evidence, Finding
    from tui.core.estimate import Estimate


class Triage(Record, frozen=True, dict=True):
    """One checkpoint with its verdict and findings, and everything that led to them."""

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
        names = self.checkpoint.settings.get("architectures")
        return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None

    @property
    def worst(self) -> str:
        """The severity of the worst finding, empty where there is none."""
        return self.findings[0].severity if self.findings else ""

    @cached_property
    def summary(self) -> Summary:
        """What a report says of it."""
        checkpoint = self.checkpoint
        count = len(checkpoint.tensors)
        return Summary(
            path=checkpoint.path,
            kind=checkpoint.kind,
            verdict=self.verdict,
            basis=self.basis,
            model_class=self.model_class,
            tensors=count or None,
            parameters=checkpoint.parameters if count else None,
            bytes=checkpoint.bytes,
            findings=self.findings,
            safety=_safety(checkpoint),
            is_file=checkpoint.is_file,
            has_files=bool(checkpoint.files),
        )


def _safety(checkpoint: Checkpoint) -> Safety | None:
    """The worst level among its pickles, `None` where it holds none."""
    if not checkpoint.pickles:
        return None
    worst = max((pickle.level for _, pickle in checkpoint.pickles), key=LEVELS.index)
    return Safety(worst, tuple(dict.fromkeys(name for _, pickle in checkpoint.pickles for name in pickle.unlisted)))


def triage_of(evidence: Evidence) -> Triage:
    """Diagnose one checkpoint."""
    found = diagnose(evidence)
    words, basis = verdict(evidence, found)
    return Triage(evidence.checkpoint, words, basis, found, evidence.comparison, evidence.estimate)


class Report(Record, frozen=True):
    """A whole run of `check`."""

    checkpoints: tuple[Summary, ...] = ()
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    isolation: str = ""
    """How the worker was shut in, empty where none was asked."""

    def count(self, word: str) -> int:
        """How many checkpoints have this verdict."""
        return sum(1 for item in self.checkpoints if item.verdict == word)

    def fails_on(self, level: str) -> bool:
        """Whether a finding at or above `level` (`error`, `warning`, `never`) is there."""
        wanted = {"error": ("error",), "warning": ("error", "warning"), "never": ()}[level]
        return any(found.severity in wanted for item in self.checkpoints for found in item.findings)


def report_json(report: Report) -> dict[str, Any]:
    """`check --json`."""
    return {
        "schema": 1,
        "tool": {"name": "ckptriage", "version": __version__},
        "environment": {"python": report.python, "packages": report.packages, "isolation": report.isolation or None},
        "checkpoints": [summary_json(item) for item in report.checkpoints],
    }
