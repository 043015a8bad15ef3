"""SavedModels, hub modules, graphs and checkpoints of TensorFlow: what `hub.load` and one call will do.

The verdict speaks of `hub.load(path)` in TensorFlow 2, then one call of what it returns; a TensorFlow 2 object that
cannot be called is called through its signature, as serving does.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tui.core.diagnosis import tensorflow_calls as calls
from tui.core.diagnosis import translated
from tui.core.diagnosis.make import finding
from tui.core.diagnosis.tensorflow_ops import FILE_OPS, NEWEST, PRODUCER, PYTHON_OPS, missing, package_of
from tui.core.text import count_of, listing, printable, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.diagnosis.evidence import Evidence, Finding

MODELS = frozenset({"tensorflow_saved_model", "tensorflow_hub_module"})
_LOAD = "import tensorflow as tf, tensorflow_hub as hub\n"


def _path(checkpoint: Checkpoint) -> str:
    return repr(str(checkpoint.root.absolute()))


def _graph(evidence: Evidence) -> dict[str, Any] | None:
    """The main MetaGraph of a SavedModel whose protobuf is whole."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind not in MODELS:
        return None
    file = checkpoint.by_name.get("saved_model.pb")
    return None if file is None or file.fatal is not None else calls.main_graph(checkpoint)


def is_hub_v1(checkpoint: Checkpoint) -> bool:
    """Whether it is a module of `hub.Module`: TensorFlow 1's format."""
    return calls.saved_model(checkpoint).get("format") == "tensorflow 1 hub module"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def hub_v1(evidence: Evidence) -> Iterator[Finding]:
    """A module of TensorFlow 1 under TensorFlow 2's API: it loads, and fails when it is called."""
    graph, checkpoint = _graph(evidence), evidence.checkpoint
    if graph is None or not is_hub_v1(checkpoint):
        return
    signatures = graph.get("signatures") or {}
    tags = [part.get("tags") for part in calls.saved_model(checkpoint)["meta_graphs"]]
    lines = [
        f"tfhub_module.pb is here, the graphs have the tags {tags}, and there is no object graph",
        f"written by TensorFlow {printable(graph.get('tensorflow_version') or 'unknown', 40)}",
        *(_signature_line(name, item) for name, item in list(signatures.items())[:6]),
    ]
    if "default" in signatures:
        yield finding(
            "tfhub-v1-in-tf2", lines, severity="warning", fix=_v1_fixes(checkpoint, "default"),
            title="A hub module of TensorFlow 1: usable through its default signature, not trainable",
        )  # fmt: skip
        return
    name = next((name for name, item in signatures.items() if item["inputs"]), next(iter(signatures), ""))
    lines.append(
        f"hub.KerasLayer says: ValueError: Unknown signature default in {checkpoint.root} (available signatures: …)"
    )
    lines.append("calling what hub.load returns says: TypeError: 'AutoTrackable' object is not callable")
    yield finding(
        "tfhub-v1-in-tf2", lines, fix=_v1_fixes(checkpoint, name), file="tfhub_module.pb",
        title=f"A hub module of TensorFlow 1: it is called through its signature {printable(name, 60)}",
    )  # fmt: skip


def _signature_line(name: str, item: dict[str, Any]) -> str:
    inputs = ", ".join(item["inputs"]) or "nothing"
    return f"signature {printable(name, 80)}({printable(inputs, 200)}) → {printable(', '.join(item['outputs']), 200)}"


def _v1_fixes(checkpoint: Checkpoint, name: str) -> tuple[str, ...]:
    layer = f"layer = hub.KerasLayer({_path(checkpoint)}, signature={name!r}, signature_outputs_as_dict=True)"
    out = [calls.snippet(checkpoint), _LOAD + layer]
    if name == "tokens":
        out.append(
            "or take the TensorFlow 2 version: tensorflow/bert_en_uncased_L-12_H-768_A-12/4 and its preprocessing model"
        )
    return tuple(out)


def not_callable(evidence: Evidence) -> Iterator[Finding]:
    """A SavedModel of TensorFlow 1, or one of TensorFlow 2 that has signatures only."""
    graph, checkpoint = _graph(evidence), evidence.checkpoint
    if graph is None or graph.get("callable") or is_hub_v1(checkpoint):
        return
    signatures = graph.get("signatures") or {}
    lines = [_signature_line(name, item) for name, item in list(signatures.items())[:6]]
    words = "hub.KerasLayer says: ValueError: Signature name has to be specified for non-callable saved models"
    fix = (calls.snippet(checkpoint), *_layer_fix(checkpoint, signatures))
    if not graph.get("object_graph"):
        lines = ["it has no object graph: TensorFlow 1 wrote it", *lines, words]
        lines.append("calling what hub.load returns says: TypeError: 'AutoTrackable' object is not callable")
        if {"Variable", "VariableV2"} & set(graph.get("ops", ())):
            lines.append(
                "its variables are reference variables: what is loaded has none, and cannot be trained further"
            )
        yield finding("tensorflow-savedmodel-not-callable", lines, fix=tuple(text for text in fix if text))
    elif signatures:
        yield finding(
            "tfhub-keraslayer-signature", [*lines, words], severity="info", fix=fix,
            title="The model is called through its signature, not by itself",
        )  # fmt: skip
    else:
        attributes = listing([str(name) for name in graph.get("attributes") or ()], 6)
        yield finding(
            "tensorflow-savedmodel-not-callable",
            [f"no __call__ and no signature; its attributes: {attributes or 'none'}", words],
            title="The model can be loaded and cannot be called", severity="warning",
            fix=(f"{_LOAD}model = hub.load({_path(checkpoint)})\nprint(dir(model))",),
        )  # fmt: skip


def _layer_fix(checkpoint: Checkpoint, signatures: dict[str, Any]) -> tuple[str, ...]:
    way = calls.signature_of({"signatures": signatures})
    if way is None or way.output is None or not way.output["items"]:
        return ()
    key = next(iter(way.output["items"]))
    return (f"{_LOAD}layer = hub.KerasLayer({_path(checkpoint)}, signature={way.signature!r}, output_key={key!r})",)


def several_graphs(evidence: Evidence) -> Iterator[Finding]:
    """More than one MetaGraph, and nothing that says which."""
    graph, checkpoint = _graph(evidence), evidence.checkpoint
    graphs = calls.saved_model(checkpoint).get("meta_graphs") or []
    if graph is None or len(graphs) < 2 or checkpoint.kind == "tensorflow_hub_module":
        return
    tags = [part.get("tags") for part in graphs]
    words = (
        "the loader says: ValueError: Importing a SavedModel with `tf.saved_model.load` requires a `tags=` argument if "
        f"there is more than one MetaGraph. Got `tags=None`, but there are {len(graphs)} MetaGraphs"
    )
    fixes = tuple(f"model = tf.saved_model.load({_path(checkpoint)}, tags={tag!r})" for tag in tags[:4])
    yield finding("tensorflow-tags", [f"{len(graphs)} MetaGraphs with the tags {tags[:8]}", words], fix=fixes)


def inputs(evidence: Evidence) -> Iterator[Finding]:
    """How a BERT wants its inputs: ids and not text, in a list or a dict; of a given call, what is wrong."""
    graph, checkpoint = _graph(evidence), evidence.checkpoint
    way = calls.expected(checkpoint) if graph is not None else None
    if way is not None and evidence.call is not None:
        yield from _call(checkpoint, way, calls.check_call(way, evidence.call))
        return
    if way is None or way.target != "call" or not calls.is_encoder(way) or way.first is None:
        return
    lines = calls.input_lines(way)
    snippet = calls.snippet(checkpoint)
    if way.first["spec"] in ("list", "tuple"):
        lines.append(
            "a dict says: ValueError: Could not find matching concrete function to call loaded from the SavedModel."
        )
        lines.append("the handles /1 and /2 take a list and return a tuple; /3 and /4 take and return a dict")
        yield finding("tfhub-signature", lines, severity="warning", fix=(snippet,))
        return
    lines.append("text says: ValueError: Could not find matching concrete function to call loaded from the SavedModel.")
    yield finding("tfhub-text-input", lines, fix=(snippet,))


def ops(evidence: Evidence) -> Iterator[Finding]:
    """Ops that TensorFlow does not have by itself."""
    checkpoint = evidence.checkpoint
    used = _ops(evidence)
    absent = missing(used)
    if not absent:
        return
    packages = dict.fromkeys(name for op in absent if (name := package_of(op)))
    words = [
        f"{count_of(len(absent), 'op')} that TensorFlow {NEWEST} does not have: {listing(absent, 8)}",
        f"the loader says: RuntimeError: Op type not registered '{printable(absent[0])}' in binary running on … "
        "(it names one op, and a hint about tf.contrib that is beside the point)",
    ]
    installed = evidence.packages or {}
    if packages:
        package = next(iter(packages))
        there = installed.get(package)
        module = package.replace("-", "_")
        if there:
            words.append(f"{package} {there} is installed here: it only has to be imported before the load")
        steps = [f'pip install "{package}{_text_version(installed, package)}"'] if not there else []
        program = calls.snippet(checkpoint) or f"import tensorflow as tf\nimport {module}"
        yield finding(
            "tensorflow-op-not-registered", words, fix=(program,) if there else (*steps, program),
            title=f"Its ops come from {', '.join(packages)}: import it before loading",
        )  # fmt: skip
        return
    yield finding(
        "tensorflow-op-not-registered", words, confidence=_certainty(evidence),
        title=f"It uses {listing(absent, 2)}, which TensorFlow {NEWEST} does not have",
        fix=("tf.load_op_library('/path/to/the/library.so')  # of the package that registers the op, before the load",),
    )  # fmt: skip


def _text_version(installed: dict[str, str], package: str) -> str:
    """tensorflow-text goes with TensorFlow's minor version."""
    version = installed.get("tensorflow") or f"{NEWEST}.0"
    return f"=={'.'.join(version.split('.')[:2])}.*" if package == "tensorflow-text" else ""


def _ops(evidence: Evidence) -> list[str]:
    """Every op of the checkpoint's graph."""
    checkpoint = evidence.checkpoint
    graph = _graph(evidence)
    if graph is not None:
        return list(graph.get("ops", []))
    if checkpoint.kind == "tensorflow_graph" and checkpoint.files and checkpoint.files[0].fatal is None:
        return list(checkpoint.files[0].metadata.get("ops", []))
    return []


def _writer(evidence: Evidence) -> str:
    graph = _graph(evidence)
    return str(graph.get("tensorflow_version") or "") if graph is not None else ""


def _certainty(evidence: Evidence) -> str:
    """A graph of a later release may use ops that the list here does not have yet."""
    return "likely" if _version(_writer(evidence)) > _version(NEWEST) else "certain"


def newer_writer(evidence: Evidence) -> Iterator[Finding]:
    """Written by a TensorFlow that is newer than the one that would read it."""
    checkpoint = evidence.checkpoint
    graph = _graph(evidence) or (
        checkpoint.files[0].metadata if checkpoint.kind == "tensorflow_graph" and checkpoint.files else None
    )
    if graph is None:
        return
    least = graph.get("min_consumer") or 0
    if least > PRODUCER and not graph.get("object_graph"):
        words = (
            f"the loader says: ValueError: GraphDef min consumer version {least} above current version {PRODUCER} for "
            f"TensorFlow {NEWEST}.0.  Please upgrade TensorFlow."
        )
        yield finding(
            "tensorflow-newer-writer", [f"min_consumer is {least}, TensorFlow {NEWEST} reads up to {PRODUCER}", words]
        )
        return
    written, installed = _writer(evidence), (evidence.packages or {}).get("tensorflow", "")
    if installed and _version(installed) < (2, 8) and "DisableCopyOnRead" in graph.get("ops", ()):
        said = "the loader says: NotFoundError: Op type not registered 'DisableCopyOnRead' in binary running on …"
        yield finding(
            "tensorflow-op-not-registered",
            [f"written by TensorFlow {printable(written, 40)}, here is {installed}", said],
            title=f"TensorFlow {installed} is older than its ops", fix=('pip install -U "tensorflow>=2.10"',),
        )  # fmt: skip
        return
    if written and installed and _version(written) > _version(installed):
        yield finding(
            "tensorflow-newer-writer",
            [f"written by TensorFlow {printable(written, 40)}, this environment has {installed}"],
            severity="warning",
            confidence="likely",
            fix=(shell("pip", "install", f"tensorflow>={printable(written, 40)}"),),
        )


def python_ops(evidence: Evidence) -> Iterator[Finding]:
    """Ops that call Python functions of the program that made the graph, or that touch files."""
    used = set(_ops(evidence))
    calling, touching = sorted(used & PYTHON_OPS), sorted(used & FILE_OPS)
    if calling:
        words = "calling it says: InvalidArgumentError: … Could not find callback with key=pyfunc_0 in the registry."
        yield finding("tensorflow-py-function", [f"the graph uses {', '.join(calling)}", words])
    if touching:
        yield finding("tensorflow-file-ops", [f"the graph uses {', '.join(touching)}"])


def variables(evidence: Evidence) -> Iterator[Finding]:
    """Variables of the graph for which the bundle has no tensor of that dtype and shape: files of another model."""
    graph, checkpoint = _graph(evidence), evidence.checkpoint
    index = checkpoint.by_name.get("variables/variables.index")
    if graph is None or index is None or index.fatal is not None or not graph.get("variables"):
        return
    held = Counter((tensor.dtype, tensor.shape) for tensor in index.tensors)
    wanted = Counter((item["dtype"], tuple(item["shape"])) for item in graph["variables"])
    absent = [form for form, count in wanted.items() if held[form] < count]
    if absent:
        lines = [
            f"{printable(str(item['name']), 120)}: {item['dtype']} {item['shape']}"
            for item in graph["variables"]
            if (item["dtype"], tuple(item["shape"])) in absent
        ]
        said = "the loader says: AssertionError: Found … Python objects that were not bound to checkpointed values"
        first = (
            f"no tensor of that dtype and shape in the bundle for {len(lines)} of {len(graph['variables'])} variables"
        )
        yield finding("tensorflow-variables-mismatch", [first, *lines[:5], said], file=index.name, confidence="likely")


def checkpoint_alone(evidence: Evidence) -> Iterator[Finding]:
    """Weights without a model: Google's BERT above all."""
    checkpoint = evidence.checkpoint
    if (
        checkpoint.kind != "tensorflow_checkpoint"
        or not checkpoint.tensors
        or any(file.fatal for file in checkpoint.files)
    ):
        return
    form = str(checkpoint.files[0].metadata.get("form", ""))
    lines = [
        f"{count_of(len(checkpoint.tensors), 'tensor')}, {form}, and no saved_model.pb",
        f"hub.load says: ValueError: Trying to load a model of incompatible/unknown type. '{checkpoint.root}' contains "
        "neither 'saved_model.pb' nor 'saved_model.pbtxt'.",
    ]
    known = translated.conversion(checkpoint)
    if known is not None:
        lines.append(f"it is {known.title}; transformers 5 reads no TensorFlow weights any more")
        title = known.title[0].upper() + known.title[1:]
        yield finding(
            "tensorflow-checkpoint-no-model", [*lines, *known.notes], severity="warning", fix=known.fix,
            title=f"{title}: weights without a model that hub.load could load",
        )  # fmt: skip
        return
    prefix = str(checkpoint.files[0].metadata.get("prefix", checkpoint.files[0].name))
    place = repr(str(checkpoint.root.absolute() / prefix))
    yield finding(
        "tensorflow-checkpoint-no-model", lines, severity="info",
        fix=(
            f"import tensorflow as tf\nreader = tf.train.load_checkpoint({place})\n"
            "print(reader.get_variable_to_shape_map())",
        ),
    )  # fmt: skip


def _call(checkpoint: Checkpoint, way: calls.Expected, faults: list[calls.Mismatch]) -> Iterator[Finding]:
    """What is wrong with the user's call, a finding for each rule."""
    for rule in dict.fromkeys(item.rule for item in faults):
        alike = [item for item in faults if item.rule == rule]
        yield finding(
            rule, [*(item.words for item in alike[:20]), *calls.input_lines(way)], severity="error",
            title=f"The call does not fit: {alike[0].words}", fix=(alike[0].fix, calls.snippet(checkpoint)),
        )  # fmt: skip


# the environment


def packages(evidence: Evidence) -> Iterator[Finding]:
    """What the packages of the environment do to this model."""
    installed, checkpoint = evidence.packages, evidence.checkpoint
    if installed is None or checkpoint.kind not in MODELS:
        return
    hub, tools = installed.get("tensorflow-hub"), installed.get("setuptools")
    if hub and _version(hub) <= (0, 16) and (tools is None or _version(tools) >= (82,)):
        yield finding(
            "tfhub-pkg-resources",
            [
                f"tensorflow-hub {hub} imports pkg_resources, setuptools {tools or 'is not installed'}"
                + (" no longer has it" if tools else ""),
                "importing it says: ModuleNotFoundError: No module named 'pkg_resources'",
            ],
        )
    if hub and _version(installed.get("keras", "0")) >= (3,):
        yield finding(
            "keras-hub-layer-not-instance",
            [f"keras {installed['keras']} and tensorflow-hub {hub}, whose KerasLayer is a layer of tf_keras"],
            severity="info", fix=_keras_fixes(checkpoint),
        )  # fmt: skip


def _keras_fixes(checkpoint: Checkpoint) -> tuple[str, ...]:
    graph = calls.main_graph(checkpoint) or {}
    layer = f"hub.KerasLayer({_path(checkpoint)})"
    out = [
        "import tf_keras as keras  # instead of tensorflow.keras, for the whole model",
        f"import os\nos.environ['TF_USE_LEGACY_KERAS'] = '1'  # before TensorFlow is imported\n{_LOAD}layer = {layer}",
    ]
    if graph.get("callable"):
        out.append(f"layer = keras.layers.TFSMLayer({_path(checkpoint)}, call_endpoint='__call__')")
    return tuple(out)


def keras_loader(evidence: Evidence) -> Iterator[Finding]:
    """`keras.models.load_model` of Keras 3 on a SavedModel."""
    graph, checkpoint = _graph(evidence), evidence.checkpoint
    if graph is None or not (calls.saved_model(checkpoint).get("keras_metadata") or graph.get("keras")):
        return
    way = calls.signature_of(graph)
    lines = [
        "keras_metadata.pb is here: Keras 2 saved it",
        f"keras.models.load_model says: ValueError: File format not supported: filepath={checkpoint.root}",
    ]
    if way is not None and len(way.kwargs) > 1:
        lines.append(
            f"the TFSMLayer(…, call_endpoint='serving_default') that it advises fails for {len(way.kwargs)} inputs"
        )
    yield finding("keras3-savedmodel", lines, severity="info", fix=(
        f"import tf_keras\nmodel = tf_keras.models.load_model({_path(checkpoint)})", *_keras_fixes(checkpoint)[2:],
    ))  # fmt: skip
