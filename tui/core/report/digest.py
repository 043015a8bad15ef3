"""Many checkpoints in a few lines: one for each cause, what to do first on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.diagnosis.evidence import order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.core.diagnosis.evidence import Finding
    from tui.core.report.summary import Summary

_VERDICTS = ("fails", "unknown", "degraded", "loads")


def digest(summaries: Iterable[Summary]) -> list[tuple[Summary, Finding]]:
    """Errors and warnings of all checkpoints: what fails before what only falls short, then as within one of them."""
    found = [(summary, item) for summary in summaries for item in summary.findings if item.severity != "info"]
    return sorted(found, key=lambda pair: (_VERDICTS.index(pair[0].verdict), order(pair[1])[:2], pair[0].path))
