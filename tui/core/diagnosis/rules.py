"""From evidence to findings and to the verdict they lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.diagnosis.evidence import order
from tui.core.diagnosis.groups import GROUPS
from tui.core.diagnosis.make import finding
from tui.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.diagnosis.evidence import Evidence, Finding
    from tui.core.diagnosis.groups import Rule

_CHECKED = frozenset(
    {
        "safetensors", "torch", "lightning", "keras", "tensorflow_saved_model", "tensorflow_hub_module",
        "tensorflow_checkpoint", "tensorflow_graph", "gguf", "numpy", "onnx", "torch_distributed",
    }
)  # fmt: skip
"""Kinds for which the readers here already are."""

_NOT_READ = ("hdf5-not-read", "tensorflow-pbtxt")
"""Rules that say that a part of the file was not looked at."""

_LESS = (
    "tensorflow-asset-missing", "tensorflow-savedmodel-not-callable", "hdf5-outside", "tensors-overlap",
    "onnx-external-size", "dist-pieces-unlike", "dist-rank-differs",
    "gguf-cut-unnoticed", "fasttext-cut-unnoticed",
    "gguf-tensor-places", "gguf-split-mixed",
)  # fmt: skip
"""Rules by which a file loads, and not as it says."""

_OTHER_BYTES = ("file-sha256-mismatch",)
"""Errors that no loader looks for: it takes the bytes that are there."""

_TOKENIZER_PROOF = frozenset(
    {
        "tokenizer-files-missing",
        "tokenizer-len-gt-embed",
        "tokenizer-case-mismatch",
        "tokenizer-json-invalid",
        "tokenizer-raises",
        "tokenizer-class-needs-sentencepiece",
        "tokenizer-spm-corrupt",
        "tokenizer-class-v5-backend",
    }
)
_DEGRADING = frozenset(
    {
        "class-finetuned-loads-random", "class-head-newly-init", "class-unused-weights", "key-module-prefix",
        "key-orig-mod-prefix", "key-nested-prefix-silent", "key-lightning-prefix", "key-nested-container",
        "config-tie-word-embeddings", "shape-config-mismatch",
        *_OTHER_BYTES,
    }
) | _TOKENIZER_PROOF  # fmt: skip


_CERTAIN_TO_FAIL = frozenset(
    {
        "memory-host-oom-killed", "memory-cgroup-limit", "memory-mmap-refused", "pickle-cve-torch-2.6",
        "environment-fp8-dtype-torch",
    }
)  # fmt: skip
"""Rules about the machine and its versions that the loader's own answer does not know of."""


_CAUSES: dict[str, tuple[str, ...]] = {
    "shape-zero3-empty": ("shape-config-mismatch", "shape-num-labels", "shape-vocab-resize", "config-gqa-kv-heads"),
    "tokenizer-special-ids": ("config-invalid",),
    "hub-permission": ("tokenizer-raises",),
    "gguf-zero-header": ("file-zero-filled",),
}
"""Errors that follow from another one."""


def diagnose(evidence: Evidence) -> tuple[Finding, ...]:
    """Findings, what to do first on top; a rule that raises becomes a finding itself."""
    found: list[Finding] = []
    for group in GROUPS:
        if not group.applies(evidence):
            continue
        for rule in group.rules:
            try:
                found.extend(rule(evidence))
            except Exception as error:  # the seam to a rule: a defect of ours must not hide the others' findings
                found.append(_not_made(rule, error))
    found.extend(_unexplained(evidence, found))
    return tuple(sorted(_without_consequences(found), key=order))


def _not_made(rule: Rule, error: Exception) -> Finding:
    """A rule that raised, as a finding."""
    words = f"rule {rule.__name__}: {type(error).__name__}: {printable(str(error), 200)}"
    return finding("file-unreadable", [words], title="A check could not be made", severity="info")


def _without_consequences(found: list[Finding]) -> list[Finding]:
    """One cause hides what follows from it."""
    errors = {
        item.rule for item in found if item.severity == "error" and item.rule not in ("load-failed", "load-killed")
    }
    if errors:
        found = [item for item in found if item.rule not in ("load-failed",)]
    hidden = {rule for cause, rules in _CAUSES.items() if cause in errors for rule in rules}
    found = [item for item in found if item.rule not in hidden]
    return list({(item.rule, item.file, item.title): item for item in found}.values())


def _unexplained(evidence: Evidence, found: list[Finding]) -> Iterator[Finding]:
    """The loader raises and no rule says why: its own words are the finding."""
    comparison = evidence.comparison
    if comparison is None or comparison.loads is not False or comparison.error is None:
        return
    if any(item.severity == "error" for item in found):
        return
    if any(item.rule in ("config-missing-config", "config-no-model-type") for item in found):
        return
    kind, message = comparison.error
    yield finding(
        "loader-raises",
        [f"the loader says: {kind}: {printable(message, 600)}"],
        title=f"{comparison.model_class}: {kind}",
    )


def verdict(evidence: Evidence, found: tuple[Finding, ...]) -> tuple[str, str]:
    """(verdict, basis): what the loader will do, and whether its own code was asked."""
    checkpoint, comparison = evidence.checkpoint, evidence.comparison
    asked = comparison is not None and comparison.source != "files" and comparison.stage != "not tried"
    basis = "loader" if asked else "files"
    if any(item.rule in _CERTAIN_TO_FAIL for item in found):
        return "fails", basis
    if checkpoint.kind in ("transformers", "sentence_transformers"):
        return _of_model(evidence, found, asked), basis
    return _of_file(evidence, found), basis


def _of_model(evidence: Evidence, found: tuple[Finding, ...], asked: bool) -> str:
    comparison = evidence.comparison
    errors = [item for item in found if item.severity == "error" and item.rule not in _TOKENIZER_PROOF]
    if comparison is None or not asked:
        fatal = [item for item in errors if item.rule not in ("config-unexpected-value", *_OTHER_BYTES)]
        return "fails" if fatal else "unknown"
    if comparison.loads is None:
        return "unknown"
    if comparison.loads is False:
        return "fails"
    return "degraded" if any(_degrades(item) for item in found) else "loads"


def _degrades(item: Finding) -> bool:
    return item.rule in _DEGRADING and item.severity in ("error", "warning")


def _of_file(evidence: Evidence, found: tuple[Finding, ...]) -> str:
    checkpoint = evidence.checkpoint
    reports = checkpoint.weight_files
    undecided = ("security-pickle-globals", "zip-duplicate-member")
    if any(item.severity == "error" for item in found if item.rule not in (*undecided, *_OTHER_BYTES)):
        return "fails"
    if any(file.fatal is not None for file in reports):
        return "fails"
    if checkpoint.kind in ("torch", "lightning") and any(
        file.pickle is not None and file.pickle.weights_only_error is not None for file in reports
    ):
        return "fails"
    if checkpoint.kind == "pickle":
        return _of_pickle(evidence)
    if any(item.rule in ("zip-duplicate-member", *_NOT_READ) for item in found):
        return "unknown"
    if any(item.rule in _OTHER_BYTES or (item.rule in _LESS and item.severity == "warning") for item in found):
        return "degraded"
    asked = checkpoint.layout is None or checkpoint.layout.name != "megatron"  # its own loader needs its own classes
    return "loads" if checkpoint.kind in _CHECKED and reports and asked else "unknown"


def _of_pickle(evidence: Evidence) -> str:
    """`pickle.load` in that environment: fails where a name cannot be imported, unknown where code would run."""
    states = evidence.importable or {}
    levels = [pickle.level for _, pickle in evidence.checkpoint.pickles]
    if any(state.startswith(("module missing", "name missing")) for state in states.values()):
        return "fails"
    return "loads" if levels and all(level == "tensors_only" for level in levels) else "unknown"
