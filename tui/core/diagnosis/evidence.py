"""What a rule gets, and what it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.record import Record, field

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.compare import Comparison
    from tui.core.deep.report import DeepReport
    from tui.core.estimate import Available, Estimate

SEVERITIES = ("error", "warning", "info")


class Outcome(Record, frozen=True):
    """How a real load attempt ended, as far as diagnosis needs it."""

    kind: str
    """`loaded`, `failed`, `killed`, `timeout`, `cancelled` or `refused`."""

    error_type: str = ""
    message: str = ""
    traceback: str = ""
    log: str = ""


class Evidence(Record, frozen=True):
    """Everything known about one checkpoint; `None` means not asked."""

    checkpoint: Checkpoint
    comparison: Comparison | None = None
    packages: dict[str, str] | None = None
    """Packages of the environment that would load it."""

    python: str = ""
    importable: dict[str, str] | None = None
    """Pickled names → `found`, `module missing: X`, `name missing`, `unknown`."""

    tokenizer: Checkpoint | None = None
    """A checkpoint whose tokenizer is to be used instead of the model's own."""

    base: Checkpoint | None = None
    """The model that an adapter changes, where it is on this machine."""

    tokenizer_answer: dict[str, Any] | None = None
    """What the environment's AutoTokenizer makes of the directory: class, length, special ids, or its error."""

    available: Available | None = None
    estimate: Estimate | None = None
    outcome: Outcome | None = None
    expected: dict[str, Any] = field(default_factory=dict)
    """Config values that the user counts on."""

    deep: DeepReport | None = None
    """What reading every byte told."""

    not_asked: str = ""
    """Why no loader was asked, where it was wanted."""

    call: Any = None
    """The call that the user means to make of a TensorFlow model, as `given_call.read` gives it."""


class Finding(Record, frozen=True):
    """One diagnosis."""

    rule: str
    severity: str
    title: str
    """One line that names the cause for this checkpoint."""

    file: str | None = None
    evidence: tuple[str, ...] = ()
    cause: str = ""
    fix: tuple[str, ...] = ()
    """Commands or snippets, the first being the one to try first."""

    confidence: str = "certain"
    offset: int | None = None


def order(finding: Finding) -> tuple[int, int, str]:
    """Worst first, certain before likely."""
    return (SEVERITIES.index(finding.severity), 0 if finding.confidence == "certain" else 1, finding.rule)
