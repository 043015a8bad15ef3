"""A load attempt from consent to diagnosis: what is asked, what is refused, how it is judged afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import LEVELS, Checkpoint
from tui.core.diagnosis import given_call
from tui.core.diagnosis import tensorflow_calls as calls
from tui.core.diagnosis.evidence import Finding, Outcome, order
from tui.core.diagnosis.machine import changed_files
from tui.core.diagnosis.messages import SPOKEN_ALIKE, rules_in
from tui.core.diagnosis.tensorflow_ops import FILE_OPS, PYTHON_OPS
from tui.core.record import Record, replace
from tui.core.report.model import Triage, triage_of
from tui.core.text import listing, printable
from tui.loading.attempt import LoadAttempt, LoadOutcome, LogLine, MemorySample
from tui.loading.isolation import can_isolate, followed
from tui.triage.flow import gather
from tui.triage.loaders import verdict_for
from tui.triage.own import container_of, recorded_arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.deep.report import DeepReport
    from tui.triage.options import Options

_TENSORFLOW = (
    "hub.load", "hub.load+text", "hub.signature", "hub.KerasLayer", "tf.saved_model.load", "tf.train.load_checkpoint",
    "tf.graph", "keras", "tf_keras", "h5py",
)  # fmt: skip
LOADERS = ("transformers", "torch", "safetensors", "pickle", "numpy", "onnx", "gguf", "joblib", *_TENSORFLOW)
SINGLE_FILE = frozenset(
    {"torch", "pickle", "safetensors", "numpy", "onnx", "gguf", "joblib", "tf.graph", "keras", "tf_keras", "h5py"}
)
"""Loaders that are given a file; the others take the directory."""

UNPICKLES = frozenset({"pickle", "joblib"})
"""Loaders that run what the file names, whatever is asked."""

_BY_KIND = {
    "transformers": "transformers",
    "sentence_transformers": "transformers",
    "safetensors": "safetensors",
    "torch": "torch",
    "lightning": "torch",
    "torchscript": "torch",
    "pickle": "pickle",
    "numpy": "numpy",
    "onnx": "onnx",
    "gguf": "gguf",
    "tensorflow_saved_model": "hub.load",
    "tensorflow_hub_module": "hub.load",
    "tensorflow_checkpoint": "tf.train.load_checkpoint",
    "tensorflow_graph": "tf.graph",
    "keras": "keras",
}


class LoadOptions(Record, frozen=True):
    """What a load attempt is asked to do."""

    model_class: str | None = None
    code: str | None = None
    """Where the class of the user's own lies; `model_class` is then `package.module:Name`."""

    loader: str | None = None
    changes: dict[str, Any] | None = None
    tokenizer: str | None = None
    dtype: str | None = None
    device: str = "cpu"
    forward: bool = False
    unpickle: bool = False
    trust_remote_code: bool = False
    trust_this_file: bool = False
    python: str | None = None
    timeout: float | None = None
    memory_limit: int | None = None
    call: Any = None
    """The call of a TensorFlow model that follows the load, as `given_call.read` gives it; `None` for one that fits."""


def loader_for(checkpoint: Checkpoint, options: LoadOptions) -> str | None:
    """The loader that the attempt runs, `None` where there is none for this kind yet."""
    if options.loader is not None:
        return options.loader
    if options.model_class is not None and not checkpoint.is_file:
        return "transformers"
    if checkpoint.kind == "pickle" and _is_joblib(checkpoint):
        return "joblib"
    if checkpoint.kind == "keras" and all(file.metadata.get("form") != "model" for file in checkpoint.files):
        named = any(file.name.endswith(".weights.h5") or file.name == "tf_model.h5" for file in checkpoint.files)
        hdf5 = any(file.metadata.get("form") == "hdf5" for file in checkpoint.files)
        return "h5py" if named or hdf5 else "keras"
    if checkpoint.kind == "tensorflow_hub_module" and "default" in (calls.main_graph(checkpoint) or {}).get(
        "signatures", {}
    ):
        return "hub.KerasLayer"
    return _BY_KIND.get(checkpoint.kind)


def _is_joblib(checkpoint: Checkpoint) -> bool:
    """Whether a pickle is one that only joblib reads: arrays in the stream, or compressed."""
    files = checkpoint.weight_files
    inline = any(
        name.endswith("joblib.numpy_pickle.NumpyArrayWrapper")
        for _, item in checkpoint.pickles
        for name in item.globals
    )
    return inline or any("compression" in file.metadata for file in files)


def refusal(checkpoint: Checkpoint, options: LoadOptions) -> str:
    """Why the attempt is not made, empty where it is."""
    own = options.code is not None
    loader = None if own else loader_for(checkpoint, options)
    if loader is None and not own:
        return f"there is no loader for checkpoints of kind {checkpoint.kind} yet"
    if (own or loader in SINGLE_FILE) and loader != "safetensors" and not checkpoint.weight_files:
        return "there is no file to load"
    code = code_inside(checkpoint) if loader in _TENSORFLOW else ""
    if code and not options.unpickle:
        return f"loading it would run code from the file: {code}; say --unpickle to allow it"
    runs_code = loader in UNPICKLES or options.unpickle
    levels = [pickle.level for _, pickle in checkpoint.pickles]
    if runs_code and max(levels, key=LEVELS.index, default="tensors_only") == "dangerous":
        reasons = [reason for _, pickle in checkpoint.pickles for reason in pickle.reasons]
        return f"loading it would run code that is dangerous: {listing(reasons, 4)}"
    if runs_code and not options.unpickle:
        names = [name for _, pickle in checkpoint.pickles for name in pickle.globals]
        return f"{loader}.load runs what the file names: {listing(names, 6) or 'nothing'}; say --unpickle to allow it"
    if must_isolate(options, runs_code) and not can_isolate():
        return "this system cannot isolate the child from your files; --trust-this-file runs the code all the same"
    return ""


def must_isolate(options: LoadOptions, runs_code: bool) -> bool:
    """Whether code that is not the library's will run, so that the child is to be shut off from the user's files."""
    return (runs_code or options.trust_remote_code or options.code is not None) and not options.trust_this_file


def code_inside(checkpoint: Checkpoint) -> str:
    """Python code that a model of TensorFlow or Keras would run, in words; empty where there is none."""
    found: list[str] = []
    for file in checkpoint.files:
        if file.metadata.get("lambdas"):
            found.append(f"the Lambda layers {listing(file.metadata['lambdas'])}")
        graphs = file.metadata.get("meta_graphs") or [file.metadata]
        used = {op for graph in graphs for op in graph.get("ops", ())}
        calling, touching = sorted(used & PYTHON_OPS), sorted(used & FILE_OPS)
        if calling or touching:
            found.append(f"the ops {', '.join(calling + touching)}")
    return ", ".join(found)


def call_plan(checkpoint: Checkpoint, loader: str | None, given: Any = None) -> dict[str, Any] | None:
    """The call that follows the load of a model of TensorFlow, the given one or one that fits; `None` for others."""
    if loader == "tf.graph":
        metadata = checkpoint.files[0].metadata if checkpoint.files else {}
        return {"inputs": metadata.get("inputs", []), "outputs": metadata.get("outputs", [])}
    graph = calls.main_graph(checkpoint)
    if loader not in _TENSORFLOW or graph is None:
        return None
    way = calls.signature_of(graph) if loader == "hub.signature" else calls.expected(checkpoint)
    if way is None:
        return None
    made = calls.plan(way) if given is None else given_call.plan(way.target, way.signature, given)
    return {**made, "object_graph": bool(graph.get("object_graph"))}


def request_for(checkpoint: Checkpoint, options: LoadOptions) -> dict[str, Any]:
    """The request to the child."""
    config = checkpoint.settings
    loader = loader_for(checkpoint, options)
    root = checkpoint.root.absolute()
    alone = loader in SINGLE_FILE and checkpoint.weight_files and calls.main_graph(checkpoint) is None
    path = root / checkpoint.weight_files[0].name if alone else root
    if loader == "tf.train.load_checkpoint" and checkpoint.files:
        first = checkpoint.files[0]
        path = root / str(first.metadata.get("prefix", first.name.removesuffix(".index")))
    return {
        "op": "load",
        "loader": loader,
        "path": str(path),
        "paths": [str(root / file.name) for file in checkpoint.weight_files],
        "class": options.model_class,
        "values": config,
        "changes": options.changes,
        "code": str(Path(options.code).absolute()) if options.code else None,
        "root": str(root),
        "container": container_of(checkpoint),
        "arguments": recorded_arguments(checkpoint),
        "dtype": options.dtype,
        "device": options.device,
        "forward": options.forward,
        "has_tokenizer": checkpoint.tokenizer is not None or options.tokenizer is not None,
        "tokenizer": options.tokenizer,
        "unpickle": options.unpickle,
        "trust_remote_code": options.trust_remote_code,
        "call": call_plan(checkpoint, loader, options.call),
        "readable": _readable(checkpoint, options),
        "must_isolate": must_isolate(options, options.unpickle),
    }


def _readable(checkpoint: Checkpoint, options: LoadOptions) -> list[str]:
    """What the child may read of the user's files: the checkpoint, and the real files that its links point to."""
    root = checkpoint.root.absolute()
    files = tuple(file.name for file in checkpoint.files)
    names = files if checkpoint.is_file else tuple(dict.fromkeys(checkpoint.names + files))
    links = followed(str(root / name) for name in names if (root / name).is_symlink())
    own = [str(root / name) for name in names] if checkpoint.is_file else [str(root)]
    tokenizer = [str(Path(options.tokenizer).absolute())] if options.tokenizer else []
    code = [str(Path(options.code).absolute())] if options.code else []
    return [*own, *links, *tokenizer, *code]


def make_attempt(
    checkpoint: Checkpoint,
    options: LoadOptions,
    on_line: Callable[[LogLine], None] | None = None,
    on_memory: Callable[[MemorySample], None] | None = None,
) -> LoadAttempt:
    """An attempt that is ready to run."""
    return LoadAttempt(
        request_for(checkpoint, options),
        options.python,
        on_line,
        on_memory,
        options.timeout,
        options.memory_limit,
    )


def refused(reason: str) -> LoadOutcome:
    """The outcome of an attempt that was not made."""
    return LoadOutcome("refused", {"type": "Refused", "message": reason, "traceback": ""}, words=f"refused: {reason}")


def as_evidence(outcome: LoadOutcome) -> Outcome:
    """The part of an outcome that diagnosis looks at."""
    error = outcome.error or {}
    return Outcome(outcome.outcome, error.get("type", ""), error.get("message", ""), error.get("traceback", ""))


async def diagnose_after(
    checkpoint: Checkpoint,
    before: Triage | None,
    outcome: LoadOutcome,
    options: Options,
    deep: DeepReport | None = None,
) -> Triage:
    """The findings again, with the outcome of the attempt beside what was known before it.

    `deep` is what reading every byte told, where that was done.
    """
    from tui.triage.environment import available

    evidence = await gather(
        checkpoint,
        None,
        options,
        available(),
        comparison=before.comparison if before is not None else None,
        outcome=as_evidence(outcome),
    )
    after = triage_of(replace(evidence, deep=deep))
    if before is None:
        return after
    known = {(item.rule, item.file) for item in after.findings}
    kept = tuple(item for item in before.findings if (item.rule, item.file) not in known)
    found = tuple(sorted(_confirmed(kept + after.findings, outcome), key=order))
    return replace(after, findings=found, verdict=before.verdict, basis=before.basis)


def _confirmed(findings: tuple[Finding, ...], outcome: LoadOutcome) -> tuple[Finding, ...]:
    """The findings, with the loader's own words beside those of which it spoke."""
    error = outcome.error or {}
    if outcome.outcome != "failed":
        return findings
    said = dict(rules_in(f"{error.get('type', '')}: {error.get('message', '')}"))
    out = []
    for item in findings:
        words = next((said[rule] for rule in (item.rule, *SPOKEN_ALIKE.get(item.rule, ())) if rule in said), None)
        line = f"confirmed by the load attempt: {printable(words or '', 300)}"
        out.append(item if words is None else replace(item, evidence=(*item.evidence, line)))
    return tuple(out)


def agreement(before: Triage | None, outcome: LoadOutcome, loader: str | None = None) -> tuple[str, bool | None]:
    """(what was predicted for that loader, whether the outcome agrees); `None` where there was no prediction."""
    verdict = verdict_for(before, loader) if before is not None else "unknown"
    if before is None or verdict == "unknown" or outcome.outcome in ("cancelled", "refused", "timeout"):
        return verdict, None
    loaded = outcome.outcome == "loaded"
    if not loaded and changed_files(before.checkpoint):  # what was loaded is not what was judged
        return verdict, None
    if verdict == "fails":
        return "fails", not loaded
    if not loaded:  # a load that falls short may do so at the first text
        return verdict, verdict == "degraded" and outcome.stage == "forward"
    answer = outcome.answer
    differs = bool(answer.get("missing") or answer.get("unexpected"))
    if verdict == "loads" and before.comparison is not None:
        expected = bool(before.comparison.missing or before.comparison.unexpected)
        return "loads", differs == expected
    return verdict, True


def outcome_json(
    outcome: LoadOutcome,
    checkpoint: Checkpoint,
    triage: Triage | None,
    before: Triage | None,
    loader: str | None = None,
) -> dict[str, Any]:
    """The contract's object for `load --json`."""
    from tui.core.report.summary import finding_json

    predicted, agrees = agreement(before, outcome, loader)
    error = outcome.error
    answer = outcome.answer
    return {
        "schema": 1,
        "path": checkpoint.path,
        "model_class": answer.get("model_class") or (triage.model_class if triage is not None else None),
        "outcome": outcome.outcome,
        "error": None
        if error is None
        else {
            "type": error.get("type", ""),
            "message": error.get("message", ""),
            "traceback": error.get("traceback", ""),
        },
        "stage": outcome.stage,
        "seconds": round(outcome.seconds, 3),
        "peak_rss_bytes": outcome.peak_rss,
        "peak_anonymous_bytes": outcome.peak_anonymous,
        "missing": answer.get("missing", []),
        "unexpected": answer.get("unexpected", []),
        "mismatched": answer.get("mismatched", []),
        "forward": answer.get("forward"),
        "predicted": predicted,
        "agrees": agrees,
        "findings": [finding_json(item) for item in (triage.findings if triage is not None else ())],
        "isolation": outcome.isolation,
    }


def log_text(line: LogLine) -> str:
    """A log line as the command line and the log pane show it."""
    mark = {"stage": "»", "end": "=", "note": "·", "stderr": " ", "stdout": " "}.get(line.stream, " ")
    return f"{line.seconds:7.1f}s {mark} {printable(line.text, 4000)}"
