"""The words of TensorFlow, TensorFlow Hub and Keras, provoked anew, lead to the rule that explains them."""

from __future__ import annotations

import http.server
import re
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import SAMPLES
from tui.core.diagnosis.messages import MESSAGES, rules_in
from tui.core.diagnosis.pages import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.loader
tf = pytest.importorskip("tensorflow")
hub = pytest.importorskip("tensorflow_hub")

V3, V2, V1 = (str(SAMPLES / name) for name in ("tfhub-bert-v3", "tfhub-bert-v2-list", "tfhub-bert-v1"))
NAMES = ("input_word_ids", "input_mask", "input_type_ids")


def _ids() -> Any:
    return tf.ones([2, 6], tf.int32)


def _named() -> dict[str, Any]:
    return {name: _ids() for name in NAMES}


def _strange_attribute(place: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    target = shutil.copytree(SAMPLES / "tensorflow1-bert", place / "model")
    message = saved_model_pb2.SavedModel.FromString((target / "saved_model.pb").read_bytes())
    message.meta_graphs[0].graph_def.node[0].attr["acme_attribute"].b = True
    (target / "saved_model.pb").write_bytes(message.SerializeToString())
    return hub.load(str(target))


def _symbolic(place: Path) -> Any:
    import keras

    return hub.KerasLayer(V3)({name: keras.Input((None,), dtype="int32") for name in NAMES})


def _with_signature(place: Path) -> str:
    """An encoder that also has a signature for serving."""

    class Encoder(tf.Module):  # type: ignore[name-defined]  # TensorFlow is not typed here
        @tf.function(input_signature=[{name: tf.TensorSpec([None, None], tf.int32, name=name) for name in NAMES}])
        def __call__(self, inputs: Any) -> Any:
            return {"pooled_output": tf.cast(inputs["input_word_ids"] + inputs["input_mask"], tf.float32)}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name=name) for name in NAMES])
        def serve(self, input_word_ids: Any, input_mask: Any, input_type_ids: Any) -> Any:
            return {"pooled": tf.cast(input_word_ids + input_mask + input_type_ids, tf.float32)}

    encoder = Encoder()
    tf.saved_model.save(encoder, str(place / "encoder"), signatures={"serving_default": encoder.serve})
    return str(place / "encoder")


def _served(place: Path) -> Any:
    import keras

    return keras.layers.TFSMLayer(_with_signature(place), call_endpoint="serving_default")(_named())


def _no_endpoint(place: Path) -> Any:
    import keras

    return keras.layers.TFSMLayer(V3, call_endpoint="serving_default")


def _layer_inside(place: Path) -> Any:
    import keras
    import tf_keras

    layers = tf_keras.layers
    inputs = {name: layers.Input((None,), dtype="int32", name=name) for name in NAMES}
    tf_keras.Model(inputs, layers.Dense(2)(hub.KerasLayer(V3)(inputs)["pooled_output"])).save(place / "model.h5")
    return keras.models.load_model(place / "model.h5", custom_objects={"KerasLayer": hub.KerasLayer})


def _fewer_layers(place: Path) -> Any:
    import tf_keras

    layers = tf_keras.layers
    tf_keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(2)]).save_weights(place / "weights.h5")
    return tf_keras.Sequential([layers.Input((4,)), layers.Dense(3)]).load_weights(place / "weights.h5")


def _other_variables(place: Path) -> Any:
    target = shutil.copytree(SAMPLES / "tfhub-bert-v3", place / "model")

    class Other(tf.Module):  # type: ignore[name-defined]  # TensorFlow is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.layer = tf.Variable(tf.ones([3, 3]))

    tf.saved_model.save(Other(), str(place / "other"))
    shutil.rmtree(target / "variables")
    shutil.copytree(place / "other" / "variables", target / "variables")
    return hub.load(str(target))


def _portal(place: Path) -> Any:
    """A captive portal: a page where an archive was asked for."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>sign in</html>")

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        return hub.load(f"http://127.0.0.1:{server.server_port}/google/bert/1")
    finally:
        server.shutdown()


PROVOKED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "module 'tensorflow_hub' has no attribute 'Module'": (lambda place: hub.Module(V1), "tfhub-v1-in-tf2"),
    "Exporting/importing meta graphs is not supported": (
        lambda place: tf.compat.v1.train.import_meta_graph(str(place / "x.meta")), "tfhub-v1-in-tf2",
    ),
    "either output_key or signature_outputs_as_dict=True should be set": (
        lambda place: hub.KerasLayer(V3, signature="serving_default"), "tfhub-keraslayer-signature",
    ),
    "only valid if specifying a signature": (
        lambda place: hub.KerasLayer(V3, signature_outputs_as_dict=True), "tfhub-keraslayer-signature",
    ),
    "does not contain the output key": (
        lambda place: hub.KerasLayer(
            _with_signature(place), signature="serving_default", output_key="pooled_output"
        )(_named()),
        "tfhub-keraslayer-signature",
    ),
    "Unknown signature nothing": (
        lambda place: hub.KerasLayer(V3, signature="nothing", output_key="x"), "tfhub-keraslayer-signature",
    ),
    "MetaGraphDef associated with tags": (lambda place: hub.load(V1, tags=["serve"]), "tensorflow-tags"),
    "tuple indices must be integers or slices, not str": (
        lambda place: hub.load(V2)([_ids()] * 3)["pooled_output"], "tfhub-signature",
    ),
    "was expected to be a int32 tensor but is a int64": (
        lambda place: hub.load(_with_signature(place)).signatures["serving_default"](
            **{name: tf.cast(value, tf.int64) for name, value in _named().items()}
        ),
        "tfhub-input-dtype",
    ),
    "missing a required argument: '": (
        lambda place: hub.load(V1).signatures["tokens"](input_mask=_ids(), segment_ids=_ids()), "tfhub-input-names",
    ),
    "A KerasTensor is symbolic": (_symbolic, "keras-hub-layer-not-instance"),
    "got a <class 'tensorflow_hub.keras_layer.KerasLayer'>": (_layer_inside, "keras-hub-layer-not-instance"),
    "TFSMLayer.call()": (_served, "keras3-savedmodel"),
    "is neither an attribute of the reloaded SavedModel": (_no_endpoint, "keras3-savedmodel"),
    "SavedModel file does not exist at": (
        lambda place: tf.saved_model.load(str(SAMPLES / "google-bert-checkpoint")), "tensorflow-checkpoint-no-model",
    ),
    "Couldn't find 'checkpoint' file or checkpoints": (
        lambda place: tf.train.load_checkpoint(str(SAMPLES / "google-bert-checkpoint")), "tensorflow-ckpt-prefix",
    ),
    "Layer count mismatch when loading weights": (_fewer_layers, "keras-layer-count"),
    "were not bound to checkpointed values": (_other_variables, "tensorflow-variables-mismatch"),
    "does not appear to be a valid module": (_portal, "tfhub-handle"),
}  # fmt: skip


@pytest.mark.parametrize("words", PROVOKED)
def test_provoked_words_lead_to_their_rule(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    action, rule = PROVOKED[words]
    with pytest.raises(Exception, match=re.escape(words)) as raised:
        action(tmp_path)
    said = f"{type(raised.value).__name__}: {raised.value}"
    assert rules_in(said)[0][0] == rule


def test_an_unknown_attribute_is_an_error_of_old_releases_only(tmp_path: Path) -> None:
    """TensorFlow 2.21 logs it and goes on; up to 2.4 it was the end of the load."""
    assert _strange_attribute(tmp_path).signatures
    logged = (
        "NodeDef mentions attribute acme which is not in the op definition: Op<name=X; signature= -> y:dtype> This "
        "may be expected if your graph generating binary is newer than this binary. Unknown attributes will be ignored."
    )
    assert rules_in(logged) == []
    old = "ValueError: NodeDef mentions attribute 'acme' not in Op<name=FusedBatchNormV3; signature=x:T, scale:U>"
    assert rules_in(old)[0][0] == "tensorflow-op-not-registered"


def test_every_message_leads_to_a_page() -> None:
    assert {rule for _, rule in MESSAGES} <= set(PAGES)


def test_words_of_other_programs_lead_nowhere() -> None:
    for said in (
        "ValueError: could not convert string to float: 'x'",
        "RuntimeError: The size of tensor a (3) must match the size of tensor b (4)",
        "AttributeError: 'Model' object has no attribute 'signatures'",
        "TypeError: 'NoneType' object is not callable",
    ):
        assert rules_in(said) == []
