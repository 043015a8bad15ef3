"""Keras files: what `keras.models.load_model` of Keras 3 will do with them.

Messages and conditions as measured on keras 3.15.1 and tf_keras 2.21.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.diagnosis import translated
from tui.core.diagnosis.make import finding
from tui.core.formats.keras_layers import KERAS_2_ONLY
from tui.core.formats.recognised import TITLES
from tui.core.text import listing, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint, FileReport
    from tui.core.diagnosis.evidence import Evidence, Finding

_NO_SIGNATURE = "the loader says: OSError: Unable to synchronously open file (file signature not found)"
_LIBRARIES = {"keras_hub": "keras-hub", "keras_nlp": "keras-nlp", "keras_cv": "keras-cv"}
"""Packages that register their classes with Keras when they are imported, and the name under which pip has them."""

_ABBREVIATED = frozenset({"mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE"})
"""Losses whose short names Keras 3 resolves to functions that it then refuses to deserialize."""


def _models(evidence: Evidence) -> Iterator[tuple[FileReport, dict[str, Any], str]]:
    """Each readable Keras file with its metadata and the path as Python text."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind != "keras":
        return
    for file in checkpoint.files:
        if file.format in ("hdf5", "keras_zip") and file.fatal is None:
            yield file, file.metadata, repr(str(checkpoint.root.absolute() / file.name))


def custom(evidence: Evidence) -> Iterator[Finding]:
    """Classes of somebody's own, and hub layers, which load_model must be given."""
    for file, metadata, path in _models(evidence):
        layers = [name for name in metadata.get("custom", ()) if "KerasLayer" not in name]
        functions = [name for name in metadata.get("functions", ()) if name]
        if metadata.get("hub_layers"):
            yield _hub_layer(file, metadata, path)
        elif layers:
            yield _custom(file, layers, path)
        elif functions:
            shown = ", ".join(f"{name!r}: {name}" for name in functions if name.isidentifier())
            yield finding(
                "keras-custom-class", [f"functions by name: {listing(functions)}"], file=file.name, confidence="likely",
                title="It needs functions that are not Keras's own",
                fix=(f"import keras\nmodel = keras.models.load_model({path}, custom_objects={{{shown}}})",),
            )  # fmt: skip


def _custom(file: FileReport, names: list[str], path: str) -> Finding:
    classes = [name.rpartition(">")[2] for name in names]
    said = f"the loader says: ValueError: Unknown layer: '{printable(names[0])}'."
    if file.format == "keras_zip":
        said = f"the loader says: TypeError: … Could not locate class '{printable(classes[0])}'."
    pairs = ", ".join(f"{name!r}: {cls}" for name, cls in zip(names, classes, strict=True) if cls.isidentifier())
    module = "your_module"
    packages = {name.partition(">")[0] for name in names if ">" in name}
    library = _LIBRARIES.get(packages.pop()) if len(packages) == 1 and all(">" in name for name in names) else None
    if library is not None:
        imported = library.replace("-", "_")
        code = (
            f"import keras, {imported}  # pip install {library}; importing it registers its classes\n"
            f"model = keras.models.load_model({path}, compile=False)"
        )
        return finding(
            "keras-custom-class", [f"classes of {library}: {listing(names, 6)}", said], file=file.name, fix=(code,),
            title=f"It needs {library}: {listing(classes)}",
        )  # fmt: skip
    code = (
        f"import keras\nfrom {module} import {', '.join(cls for cls in classes if cls.isidentifier())}\n"
        f"model = keras.models.load_model({path}, custom_objects={{{pairs}}}, compile=False)"
    )
    return finding(
        "keras-custom-class", [f"classes that do not come with Keras: {listing(names, 6)}", said],
        file=file.name, fix=(code,),
        title=f"It needs {listing(classes)}, which Keras does not have",
    )  # fmt: skip


def _hub_layer(file: FileReport, metadata: dict[str, Any], path: str) -> Finding:
    handles = [handle for handle in metadata["hub_layers"] if handle]
    code = (
        "import tf_keras, tensorflow_hub as hub\n"
        f"model = tf_keras.models.load_model({path}, custom_objects={{'KerasLayer': hub.KerasLayer}})"
    )
    return finding(
        "keras-hub-h5",
        [
            f"a hub.KerasLayer inside, of {listing(handles) or 'an unknown handle'}: the handle must still resolve",
            "the loader says: ValueError: Unknown layer: 'KerasLayer'.",
        ],
        file=file.name,
        fix=(code,),
    )


def lambdas(evidence: Evidence) -> Iterator[Finding]:
    """Lambda layers: Python bytecode in the file."""
    for file, metadata, path in _models(evidence):
        names = metadata.get("lambdas") or []
        if not names:
            continue
        old = str(metadata.get("keras_version", "")).startswith("2.")
        said = "Requested the deserialization of a `Lambda` layer whose `function` is a Python lambda."
        if old and file.format == "keras_zip":
            said = "Unrecognized keyword arguments passed to Lambda: {'function_type': 'lambda', …}"
        lines = [
            f"Lambda layers with serialized Python bytecode: {listing(names)}",
            f"the loader says: ValueError: {said}",
            "tf_keras runs the bytecode of an .h5 without asking; a load attempt is not made without --unpickle",
        ]
        yield finding(
            "keras-lambda-safe-mode", lines, file=file.name,
            fix=("replace the Lambda by a layer of your own in the program that made the model, and save it again",
                 f"if you trust its author: keras.models.load_model({path}, safe_mode=False)"),
        )  # fmt: skip


def skew(evidence: Evidence) -> Iterator[Finding]:
    """Saved by Keras 2 in a form that Keras 3 refuses."""
    for file, metadata, path in _models(evidence):
        old = str(metadata.get("keras_version", "")).startswith("2.")
        reasons, said = _reasons(file, metadata, old)
        if not reasons or metadata.get("custom") or metadata.get("lambdas"):
            continue
        fixes = [f"import tf_keras\nmodel = tf_keras.models.load_model({path})"] if old else []
        if said.startswith(("Could not deserialize", "<class")):
            fixes.insert(0, f"import keras\nmodel = keras.models.load_model({path}, compile=False)")
        version = metadata.get("keras_version") or "unknown"
        yield finding(
            "keras-version-skew",
            [f"written by Keras {printable(str(version), 40)}", *reasons, f"Keras 3 says: ValueError: {said}"],
            file=file.name,
            fix=fixes,
        )


def _reasons(file: FileReport, metadata: dict[str, Any], old: bool) -> tuple[list[str], str]:
    """What Keras 3 will not take, and its words for the first of it."""
    classes = {layer["class"] for layer in metadata.get("layers", ())}
    gone = sorted(classes & KERAS_2_ONLY)
    if gone and old:
        return [f"layers that Keras 3 no longer has: {', '.join(gone)}"], f"Unknown layer: '{gone[0]}'."
    if metadata.get("time_major") and old:
        return [
            "a recurrent layer with time_major"
        ], "Unrecognized keyword arguments passed to LSTM: {'time_major': False}"
    if file.format != "hdf5":
        return [], ""
    losses = [name for name in metadata.get("compile_strings", ()) if name in _ABBREVIATED]
    if losses:
        said = f"Could not deserialize 'keras.metrics.{losses[0]}' because it is not a KerasSaveable subclass"
        return [f"compiled with the loss {losses[0]!r}, which is only a name"], said
    objects = [name for name in metadata.get("compile_strings", ()) if name.startswith("class ")]
    if objects and old:
        return [
            f"compiled with the loss object {objects[0].removeprefix('class ')}"
        ], "<class …> could not be deserialized properly."
    return [], ""


def weights_only(evidence: Evidence) -> Iterator[Finding]:
    """Weights without the model that they belong to."""
    for file, metadata, path in _models(evidence):
        if metadata.get("form") == "model":
            continue
        named = file.name.endswith(".weights.h5") or file.name == "tf_model.h5"
        severity = "info" if named or metadata.get("form") == "hdf5" else "error"
        writer = metadata.get("written_by") or "not Keras"
        said = f"keras.models.load_model says: ValueError: No model config found in the file at {path[1:-1]}."
        yield finding(
            "keras-weights-only", [f"no model_config in the file; {writer} wrote it", said], severity=severity,
            file=file.name, fix=(f"model = build_model()  # of the program that made it\nmodel.load_weights({path})",),
        )  # fmt: skip


def convertible(evidence: Evidence) -> Iterator[Finding]:
    """Weights under names that transformers' are known for."""
    checkpoint = evidence.checkpoint
    known = translated.conversion(checkpoint) if checkpoint.kind in ("keras", "tensorflow_saved_model") else None
    if known is not None:
        title = known.title[0].upper() + known.title[1:]
        yield finding(
            "keras-convert-to-transformers",
            [f"it is {known.title}", *known.notes, "compare shows them under transformers' names"],
            title=f"{title}: transformers takes the weights once they are converted", fix=known.fix,
            severity="warning" if checkpoint.kind == "keras" else "info",
        )  # fmt: skip


def no_signature(evidence: Evidence) -> Iterator[Finding]:
    """Another format under the name of an HDF5 or Keras file."""
    checkpoint = evidence.checkpoint
    for file in checkpoint.files:
        named = file.name.lower().endswith((".h5", ".hdf5"))
        if named and file.format not in ("hdf5", "lfs_pointer", "html", "empty", "zeros", "unreadable"):
            shown = TITLES.get(file.format, file.format)
            yield finding(
                "hdf5-no-signature",
                [f"{printable(file.name)}: its content is {shown}", _NO_SIGNATURE],
                file=file.name, fix=_other_name(checkpoint, file),
            )  # fmt: skip


def _other_name(checkpoint: Checkpoint, file: FileReport) -> tuple[str, ...]:
    if file.format in ("keras_zip", "zip"):
        path = checkpoint.root / file.name
        return (f"mv {path} {path.with_suffix('.keras')}",)
    return ()
