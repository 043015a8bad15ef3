"""All rules, in the order in which causes hide their consequences, and the verdict they lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tui.core.diagnosis import (
    adapters,
    classes,
    companions,
    config,
    deep,
    environment,
    files,
    gguf,
    keras,
    keys,
    layouts,
    machine,
    pickles,
    quantization,
    tensorflow,
    tokenizer,
)  # fmt: skip
from tui.core.diagnosis.evidence import Evidence, Finding, order
from tui.core.diagnosis.make import finding
from tui.core.text import printable

Rule = Callable[[Evidence], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    files.damaged,
    files.misnamed,
    files.no_weights,
    files.nothing,
    files.index_against_shards,
    files.empty_tensors,
    pickles.levels,
    pickles.code_needed,
    pickles.torchscript,
    pickles.training,
    pickles.devices,
    pickles.class_drift,
    config.missing_config,
    config.no_model_type,
    config.loader_stops,
    config.unexpected_values,
    config.unknown_keys,
    keys.random_model,
    keys.mismatched,
    keys.conversion,
    keys.partly_missing,
    keys.expert_gaps,
    tokenizer.vocabulary_missing,
    tokenizer.vocabulary_not_read,
    tokenizer.raises,
    tokenizer.larger_than_embedding,
    tokenizer.smaller_than_embedding,
    tokenizer.case,
    tokenizer.special_ids,
    tokenizer.absent,
    gguf.no_gguf,
    gguf.architecture,
    gguf.vocabulary,
    gguf.head_size,
    gguf.truncated_adapter,
    adapters.no_weights,
    adapters.empty,
    adapters.ranks,
    adapters.against_base,
    adapters.targets,
    adapters.base_model,
    layouts.components,
    layouts.modules,
    layouts.unfinished_step,
    layouts.deepspeed,
    layouts.merged_without_embedding,
    layouts.distributed,
    layouts.megatron,
    layouts.consolidated,
    layouts.shards,
    quantization.unknown_type,
    quantization.leftover,
    quantization.packages,
    quantization.group_size,
    quantization.companions,
    quantization.packed_as_plain,
    quantization.file_name,
    *deep.RULES,
    *companions.RULES,
    *environment.RULES,
    *classes.RULES,
    tensorflow.hub_v1,
    tensorflow.not_callable,
    tensorflow.several_graphs,
    tensorflow.ops,
    tensorflow.newer_writer,
    tensorflow.python_ops,
    tensorflow.variables,
    tensorflow.checkpoint_alone,
    tensorflow.inputs,
    tensorflow.packages,
    tensorflow.keras_loader,
    keras.custom,
    keras.lambdas,
    keras.skew,
    keras.weights_only,
    keras.convertible,
    keras.no_signature,
    machine.no_framework,
    machine.no_reader,
    machine.not_asked,
    machine.memory,
    machine.optimizer_state,
    machine.outcome,
)

_COMPLETE = frozenset(
    {
        "safetensors", "torch", "lightning", "pickle", "torchscript", "gguf", "onnx", "numpy", "keras",
        "tensorflow_saved_model", "tensorflow_hub_module", "tensorflow_checkpoint",
    }
)  # fmt: skip
"""Kinds whose own checks are complete once their readers are."""

_CHECKED = frozenset(
    {
        "safetensors", "torch", "lightning", "keras", "tensorflow_saved_model", "tensorflow_hub_module",
        "tensorflow_checkpoint", "tensorflow_graph", "gguf", "numpy", "onnx", "torch_distributed",
    }
)  # fmt: skip
"""Kinds for which the readers here already are."""

_NOT_READ = ("hdf5-not-read", "tensorflow-pbtxt")
"""Rules that say that a part of the file was not looked at."""

_LESS = ("tensorflow-asset-missing", "tensorflow-savedmodel-not-callable", "hdf5-outside")
"""Rules by which a file loads, and not as it says."""

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
}
"""Errors that follow from another one."""


def diagnose(evidence: Evidence) -> tuple[Finding, ...]:
    """Findings, what to do first on top; a rule that raises becomes a finding itself."""
    found: list[Finding] = []
    for rule in RULES:
        try:
            found.extend(rule(evidence))
        except Exception as error:  # the seam to a rule: a defect of ours must not hide the others' findings
            found.append(
                finding(
                    "file-unreadable",
                    [f"rule {rule.__name__}: {type(error).__name__}: {printable(str(error), 200)}"],
                    title="A check could not be made",
                    severity="info",
                )
            )
    found.extend(_unexplained(evidence, found))
    return tuple(sorted(_without_consequences(found), key=order))


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
        fatal = [item for item in errors if item.rule not in ("config-unexpected-value",)]
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
    if any(item.severity == "error" for item in found if item.rule not in undecided):
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
    if any(item.rule in _LESS and item.severity == "warning" for item in found):
        return "degraded"
    return "loads" if checkpoint.kind in _CHECKED and reports else "unknown"


def _of_pickle(evidence: Evidence) -> str:
    """`pickle.load` in that environment: fails where a name cannot be imported, unknown where code would run."""
    states = evidence.importable or {}
    levels = [pickle.level for _, pickle in evidence.checkpoint.pickles]
    if any(state.startswith(("module missing", "name missing")) for state in states.values()):
        return "fails"
    return "loads" if levels and all(level == "tensors_only" for level in levels) else "unknown"
