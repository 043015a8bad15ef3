"""Loading models of TensorFlow and Keras by the loader that was asked for, then one call with made-up inputs.

A module of TensorFlow 1 loads without a word and fails when it is called, so that an attempt is always both.
"""

from __future__ import annotations

import os
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ckptriage_worker.attempt import Attempt

LOADERS = (
    "hub.load", "hub.load+text", "hub.signature", "hub.KerasLayer", "tf.saved_model.load", "tf.train.load_checkpoint",
    "tf.graph", "keras", "tf_keras", "h5py",
)  # fmt: skip
SOCKET_TIMEOUT = 10.0
MAX_ELEMENTS = 16 << 20
"""Elements of one made-up input."""


class CannotMake(Exception):
    """No input can be made for what the model expects."""


def run(attempt: Attempt, loader: str) -> dict[str, Any]:
    """Import, load, call; the answer says what came back from the call."""
    request = attempt.request
    _prepare()
    attempt.enter("import")
    if loader in ("keras", "tf_keras"):
        return _keras(attempt, loader)
    if loader == "h5py":
        return _arrays(attempt)
    import tensorflow as tf

    if loader == "tf.train.load_checkpoint":
        return _checkpoint(attempt, tf)
    if loader == "tf.graph":
        return _frozen(attempt, tf)
    model = _load(attempt, loader, tf)
    attempt.enter("call")
    output = _call(model, loader, request.get("call") or {}, tf)
    return {"model_class": type(model).__name__, "forward": _described(output, tf)}


def _prepare() -> None:
    """No GPU, no endless wait for a network, and a stand-in for what tensorflow-hub imports and setuptools dropped."""
    import socket

    socket.setdefaulttimeout(SOCKET_TIMEOUT)
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def _hub(attempt: Attempt) -> Any:
    """tensorflow_hub, with a note where its import only works by a stand-in of ours."""
    from ckptriage_worker.libraries import has

    if not has("pkg_resources"):
        from packaging.version import parse

        stand_in: Any = types.ModuleType("pkg_resources")
        stand_in.parse_version = parse
        sys.modules["pkg_resources"] = stand_in
        attempt.channel.send("tried", words="pkg_resources is not here; tensorflow-hub got a stand-in for it")
    import tensorflow_hub

    return tensorflow_hub


def _load(attempt: Attempt, loader: str, tf: Any) -> Any:
    """What the loader returns for the model's directory."""
    path = attempt.request["path"]
    if loader == "tf.saved_model.load":
        attempt.enter("load")
        return tf.saved_model.load(path)
    hub = _hub(attempt)
    if loader == "hub.load+text":
        import tensorflow_text  # noqa: F401 (registers its ops)
    attempt.enter("load")
    if loader == "hub.KerasLayer":
        return hub.KerasLayer(path)
    return hub.load(path)


def _call(model: Any, loader: str, plan: dict[str, Any], tf: Any) -> Any:
    """One call: of the object itself, or of its signature where it has no call or that was asked for."""
    signature = plan.get("signature") or ""
    arguments = [made(item, tf) for item in plan.get("args") or []]
    keywords = {key: made(item, tf) for key, item in (plan.get("kwargs") or {}).items()}
    by_signature = loader == "hub.signature" or (plan.get("target") == "signature" and plan.get("object_graph"))
    if by_signature and loader != "hub.KerasLayer":
        return model.signatures[signature](*arguments, **keywords)
    if plan.get("target") == "signature":  # the object itself is tried with the inputs that its signature names
        return model(*(arguments or [keywords]))
    return model(*arguments, **keywords)


def made(node: dict[str, Any], tf: Any) -> Any:
    """A value for one node of a structure: tensors of ones, a sentence for text, plain values as they are."""
    spec = node.get("spec")
    items = node.get("items")
    if spec == "tensor":
        return _tensor(node, tf)
    if isinstance(items, dict):
        if spec != "dict":
            raise CannotMake(f"a {spec} is expected, whose class is the program's own")
        return {key: made(item, tf) for key, item in items.items()}
    if isinstance(items, list):
        values = [made(item, tf) for item in items]
        return values if spec == "list" else tuple(values)
    if spec == "value":
        return node.get("value")
    raise CannotMake("a {} is expected".format(node.get("type", spec)))


def _tensor(node: dict[str, Any], tf: Any) -> Any:
    sizes = node.get("shape")
    wanted = sizes if sizes is not None else [None]
    shape = [size if size is not None else 1 if index == 0 else 8 for index, size in enumerate(wanted)]
    count = 1
    for size in shape:
        count *= size
    if count > MAX_ELEMENTS:
        raise CannotMake(f"an input of shape {shape} is too large to be made up")
    dtype = str(node.get("dtype", "")).replace("_ref", "")
    if dtype == "string":
        return tf.fill(shape, "a sentence")
    return tf.ones(shape, dtype)


def _described(output: Any, tf: Any) -> dict[str, Any]:
    """Shape of the first tensor that came back, whether it is finite, and the shapes of all by their place."""
    flat = [item for item in tf.nest.flatten(output, expand_composites=True) if hasattr(item, "shape")]
    if not flat:
        return {"shape": None, "finite": None}
    preferred = output.get("pooled_output") if isinstance(output, dict) else None
    first = preferred if preferred is not None else flat[0]
    dtype = tf.as_dtype(first.dtype)
    finite = bool(tf.reduce_all(tf.math.is_finite(tf.cast(first, tf.float32)))) if dtype.is_floating else None
    shape = list(first.shape) if first.shape.rank is not None else None
    return {"shape": shape, "finite": finite, "outputs": len(flat)}


def _checkpoint(attempt: Attempt, tf: Any) -> dict[str, Any]:
    """Every tensor of a checkpoint through TensorFlow's own reader."""
    attempt.enter("load")
    reader = tf.train.load_checkpoint(attempt.request["path"])
    names = sorted(reader.get_variable_to_shape_map())
    for name in names:
        reader.get_tensor(name)
    return {"model_class": None, "keys": names[:1000]}


def _frozen(attempt: Attempt, tf: Any) -> dict[str, Any]:
    """A frozen graph, imported as a function and called once."""
    plan = attempt.request.get("call") or {}
    attempt.enter("load")
    graph = tf.compat.v1.GraphDef()
    with open(attempt.request["path"], "rb") as file:
        graph.ParseFromString(file.read())
    inputs = [item["name"] for item in plan.get("inputs") or []]
    function = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
    outputs = [name for name in plan.get("outputs") or [] if function.graph.get_operation_by_name(name).outputs]
    pruned = function.prune(
        [function.graph.as_graph_element(name + ":0") for name in inputs],
        [function.graph.as_graph_element(name + ":0") for name in outputs[:64]],
    )
    attempt.enter("call")
    values = pruned(*[_tensor(item, tf) for item in plan.get("inputs") or []])
    return {"model_class": None, "forward": _described(values, tf)}


def _keras(attempt: Attempt, loader: str) -> dict[str, Any]:
    """`load_model` of Keras 3 or of tf_keras, then one call. Code in the file runs only with consent."""
    if loader == "keras":
        import keras as library
    else:
        import tf_keras as library
    import tensorflow as tf

    keywords: dict[str, Any] = {}
    if attempt.request.get("unpickle"):
        keywords["safe_mode"] = False
    attempt.enter("load")
    model = library.models.load_model(attempt.request["path"], **keywords)
    attempt.enter("call")
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return {"model_class": type(model).__name__, "forward": None}
    values = [_tensor(_spec(item), tf) for item in inputs]
    output = model(values[0] if len(values) == 1 else values)
    return {"model_class": type(model).__name__, "forward": _described(output, tf)}


def _spec(item: Any) -> dict[str, Any]:
    """A symbolic input of Keras as a tensor's node."""
    dtype = item.dtype if isinstance(item.dtype, str) else item.dtype.name
    return {"spec": "tensor", "dtype": dtype, "shape": [None if size is None else int(size) for size in item.shape]}


def _arrays(attempt: Attempt) -> dict[str, Any]:
    """Every array of an HDF5 file through h5py."""
    import h5py

    attempt.enter("load")
    names: list[str] = []

    def read(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            item[()]
            names.append(name)

    with h5py.File(attempt.request["path"], "r") as file:
        file.visititems(read)
    return {"model_class": None, "keys": names[:1000]}
