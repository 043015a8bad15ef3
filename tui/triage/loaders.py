"""The loaders of TensorFlow and Keras beside the default one: which there are, and what they will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.diagnosis import tensorflow_calls as calls
from tui.core.diagnosis.tensorflow import MODELS
from tui.core.diagnosis.tensorflow_ops import missing, package_of

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.report.model import Triage

_NOT_CALLABLE = frozenset({"tfhub-v1-in-tf2", "tensorflow-savedmodel-not-callable", "tfhub-keraslayer-signature"})
"""Rules about calling the loaded object itself, which a signature goes round."""


def choices(checkpoint: Checkpoint) -> tuple[tuple[str, str], ...]:
    """(loader, what it does) for the load attempts that can be made of a checkpoint of TensorFlow or Keras."""
    if checkpoint.kind == "keras":
        return (
            ("keras", "load_model of Keras 3"), ("tf_keras", "load_model of Keras 2"), ("h5py", "the arrays alone"),
        )  # fmt: skip
    if checkpoint.kind not in MODELS:
        return ()
    graph = calls.main_graph(checkpoint) or {}
    out = [("hub.load", "load it and call what comes back")]
    way = calls.signature_of(graph)
    if way is not None:
        out.append(("hub.signature", f"load it and call its signature {way.signature}"))
    if _text_ops(checkpoint):
        out.append(("hub.load+text", "import tensorflow_text first, then load and call"))
    out.append(("hub.KerasLayer", "a layer of tf_keras, called"))
    out.append(("tf.saved_model.load", "without tensorflow-hub"))
    return tuple(out)


_LLAMA_CPP = frozenset({"gguf-split", "gguf-vocab-shape", "gguf-head-dim"})
"""Errors of which llama.cpp alone speaks; the gguf package, which a load attempt asks, reads a file by itself."""


def verdict_for(before: Triage, loader: str | None) -> str:
    """The verdict if this loader loads: that of the triage speaks of the default one, `None` here."""
    kind = before.checkpoint.kind
    if kind == "tensorflow_checkpoint" and loader is not None and loader.startswith(("hub.", "tf.saved_model")):
        return "fails"
    if kind == "keras" and loader not in (None, "keras"):
        return "unknown"
    errors = {item.rule for item in before.findings if item.severity == "error"}
    if kind == "gguf" and errors and errors <= _LLAMA_CPP:
        return "unknown"
    if loader is None or kind not in MODELS or loader == "hub.load":
        return before.verdict
    if loader in ("hub.signature", "hub.load+text"):
        gone = _NOT_CALLABLE if loader == "hub.signature" else frozenset()
        if loader == "hub.load+text" and _text_ops(before.checkpoint):
            gone = frozenset({"tensorflow-op-not-registered"})
        return "fails" if errors - gone else "loads" if before.verdict == "fails" else before.verdict
    if loader == "keras":
        return "fails"
    return "fails" if before.verdict == "fails" and loader == "tf.saved_model.load" else "unknown"


def _text_ops(checkpoint: Checkpoint) -> bool:
    """Whether all ops that TensorFlow lacks are those of tensorflow_text."""
    absent = missing((calls.main_graph(checkpoint) or {}).get("ops", []))
    return bool(absent) and {package_of(op) for op in absent} == {"tensorflow-text"}
