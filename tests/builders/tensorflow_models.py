"""The gallery's samples of TensorFlow and Keras, written by TensorFlow 2.21 (its version 1 formats through compat.v1).

Built in a process of its own, since function names count up within one; imports TensorFlow only there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = """
[PAD] [UNK] [CLS] [SEP] [MASK] the of and to in a is was he for on as with that it by at from her she you had
london paris berlin rome president visited city river old small day year work long great life house
##s ##ed ##ing ##er ##ly
"""
VOCABULARY = WORDS.split()
WIDTH, ROWS = 8, 16


class Row(NamedTuple):
    """One directory of the gallery, what is wrong with it and how to build it."""

    name: str
    story: int
    says: str
    verdict: str
    rules: tuple[str, ...]
    build: Callable[[Path], None]


def _values(*shape: int) -> Any:
    """Random weights, the same each time."""
    import numpy as np

    return np.random.default_rng(sum(shape)).normal(0, 0.02, shape).astype("float32")


def _vocabulary(place: Path) -> str:
    """Write the vocabulary; its path from the sample's own directory, since graphs keep the path as it was given."""
    (place / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", "utf-8")
    return "vocab.txt"


def _kept(dest: Path) -> None:
    """Remove what holds a random number and no model."""
    (dest / "fingerprint.pb").unlink(missing_ok=True)


def _encoder(dest: Path, *, listed: bool) -> None:
    """A BERT encoder's outside: three int32 matrices in, a dict or a tuple out, the vocabulary as an asset."""
    import tensorflow as tf

    spec = {name: tf.TensorSpec([None, None], tf.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")}

    class Encoder(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings = tf.Variable(_values(len(VOCABULARY), WIDTH), name="word_embeddings")
            self.types = tf.Variable(_values(2, WIDTH), name="type_embeddings")
            self.pooler = tf.Variable(_values(WIDTH, WIDTH), name="pooler")
            self.vocab_file = tf.saved_model.Asset(_vocabulary(dest))

        @tf.function
        def __call__(self, inputs: Any, training: bool = False) -> Any:
            words, mask, types = inputs if listed else (inputs[name] for name in spec)
            vectors = tf.gather(self.embeddings, words) + tf.gather(self.types, types)
            vectors *= tf.cast(mask, tf.float32)[..., None]
            pooled = tf.tanh(tf.matmul(vectors[:, 0], self.pooler))
            if listed:
                return pooled, vectors
            return {
                "pooled_output": pooled,
                "sequence_output": vectors,
                "encoder_outputs": [vectors],
                "default": pooled,
            }

    model: Any = Encoder()
    inputs = list(spec.values()) if listed else spec
    for training in (False, True):
        model.__call__.get_concrete_function(inputs, training)
    model.trainable_variables_list = [model.embeddings, model.types, model.pooler]
    tf.saved_model.save(model, str(dest))
    (dest / "vocab.txt").unlink()
    _kept(dest)


def tfhub_bert_v3(dest: Path) -> None:
    """Save the API of the handles /3 and /4: a dict in, a dict out."""
    _encoder(dest, listed=False)


def tfhub_bert_v2_list(dest: Path) -> None:
    """Save the API of the handles /1 and /2: a list in, a tuple out."""
    _encoder(dest, listed=True)


def _first_version(dest: Path, tags: list[list[str]], signature: str) -> None:
    """A SavedModel without an object graph, as TensorFlow 1's builder writes it."""
    import tensorflow as tf
    from tensorflow.compat import v1

    builder = v1.saved_model.Builder(str(dest))
    for number, tag in enumerate(tags):
        with tf.Graph().as_default(), v1.Session() as session:
            names = ("input_ids", "input_mask", "segment_ids")
            inputs = {name: v1.placeholder(tf.int32, [None, None], name) for name in names}
            table = v1.get_variable("bert/embeddings/word_embeddings", initializer=_values(len(VOCABULARY), WIDTH))
            pooler = v1.get_variable("bert/pooler/dense/kernel", initializer=_values(WIDTH, WIDTH))
            vectors = tf.gather(table, inputs["input_ids"]) * tf.cast(inputs["input_mask"], tf.float32)[..., None]
            vectors += tf.cast(inputs["segment_ids"], tf.float32)[..., None]
            outputs = {"pooled_output": tf.tanh(tf.matmul(vectors[:, 0], pooler)), "sequence_output": vectors}
            session.run(v1.global_variables_initializer())
            signatures = {signature: v1.saved_model.predict_signature_def(inputs, outputs)}
            if number == 0:
                builder.add_meta_graph_and_variables(session, tag, signatures, strip_default_attrs=True)
            else:
                builder.add_meta_graph(tag, signatures, strip_default_attrs=True)
    builder.save()
    _kept(dest)


def tfhub_bert_v1(dest: Path) -> None:
    """Save the format of hub.Module: no tags and ["train"], a signature `tokens`, and tfhub_module.pb."""
    _first_version(dest, [[], ["train"]], "tokens")
    (dest / "tfhub_module.pb").write_bytes(b"\x08\x03")


def tensorflow1_bert(dest: Path) -> None:
    """Save a model for serving as TensorFlow 1 does."""
    _first_version(dest, [["serve"]], "serving_default")


def tfhub_bert_preprocess(dest: Path) -> None:
    """Save a preprocessing model: text in, the encoder's ids out, by ops of tensorflow_text."""
    import tensorflow as tf
    import tensorflow_text

    class Preprocess(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = tensorflow_text.BertTokenizer(_vocabulary(dest), lower_case=True, token_out_type=tf.int32)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def __call__(self, inputs: Any) -> Any:
            ids = self.tokenizer.tokenize(inputs).merge_dims(-2, -1)
            words = ids.to_tensor(shape=[None, ROWS])
            return {
                "input_word_ids": words,
                "input_mask": tf.ones_like(ids).to_tensor(shape=[None, ROWS]),
                "input_type_ids": tf.zeros_like(words),
            }

    tf.saved_model.save(Preprocess(), str(dest))
    (dest / "vocab.txt").unlink()
    _kept(dest)


def tfhub_text_asset_missing(dest: Path) -> None:
    """Save a text model that fills a table from its vocabulary, then lose assets/."""
    import tensorflow as tf

    class Text(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            initializer = tf.lookup.TextFileInitializer(
                _vocabulary(dest), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )  # fmt: skip
            self.table = tf.lookup.StaticHashTable(initializer, 1)
            self.embeddings = tf.Variable(_values(len(VOCABULARY), WIDTH), name="embeddings")

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def __call__(self, text: Any) -> Any:
            return tf.gather(self.embeddings, self.table.lookup(text))

    tf.saved_model.save(Text(), str(dest))
    (dest / "vocab.txt").unlink()
    shutil.rmtree(dest / "assets")
    _kept(dest)


def tfhub_bert_shard_truncated(dest: Path) -> None:
    """Cut the variables off in the middle."""
    tfhub_bert_v3(dest)
    shard = dest / "variables" / "variables.data-00000-of-00001"
    data = shard.read_bytes()
    shard.write_bytes(data[: len(data) // 2])


def tfhub_bert_index_missing(dest: Path) -> None:
    """Lose the index of the variables."""
    tfhub_bert_v3(dest)
    (dest / "variables" / "variables.index").unlink()


def tfhub_bert_empty_pb(dest: Path) -> None:
    """Leave a file of 0 bytes where the graph was."""
    tfhub_bert_v3(dest)
    (dest / "saved_model.pb").write_bytes(b"")


def keras_custom_layer(dest: Path) -> None:
    """Save a Keras 2 model with a layer of one's own as .h5."""
    import tf_keras

    class Gate(tf_keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2.0

    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [layers.Input((8,), name="features"), layers.Dense(4, name="dense"), Gate(name="gate")], name="tagger"
    )
    for weight in model.weights:
        weight.assign(_values(*weight.shape))
    model.save(dest / "model.h5")


def keras_lambda(dest: Path) -> None:
    """Save a Keras 3 model with a Lambda layer as .keras."""
    import keras

    double = eval(compile("lambda x: x * 2.0", "model.py", "eval"))
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((8,), name="features"), layers.Dense(4, name="dense"), layers.Lambda(double, name="double")],
        name="tagger",
    )
    for weight in model.weights:
        weight.assign(_values(*weight.shape))
    model.save(dest / "model.keras")
    _steady_archive(dest / "model.keras")


def _steady_archive(path: Path) -> None:
    """The same archive without the time and the addresses of objects that Keras writes into it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    metadata["date_saved"] = "2026-01-01@00:00:00"
    members["metadata.json"] = json.dumps(metadata).encode()
    members["config.json"] = json.dumps(_without_addresses(json.loads(members["config.json"]))).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    path.write_bytes(out.getvalue())


def _without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_addresses(item) for key, item in value.items() if key != "shared_object_id"}
    return [_without_addresses(item) for item in value] if isinstance(value, list) else value


def google_bert_checkpoint(dest: Path) -> None:
    """Save weights under the names of google-research/bert, with bert_config.json and vocab.txt beside them."""
    import tensorflow as tf

    config = {
        "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": WIDTH,
        "initializer_range": 0.02, "intermediate_size": 16, "max_position_embeddings": ROWS, "num_attention_heads": 2,
        "num_hidden_layers": 2, "type_vocab_size": 2, "vocab_size": len(VOCABULARY),
    }  # fmt: skip
    (dest / "bert_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    _vocabulary(dest)
    tensors = google_bert_tensors(WIDTH, 16, ROWS, len(VOCABULARY), 2)
    tf.raw_ops.SaveV2(
        prefix=str(dest / "bert_model.ckpt"), tensor_names=list(tensors), shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(value) for value in tensors.values()],
    )  # fmt: skip


def google_bert_tensors(width: int, middle: int, positions: int, words: int, layers: int) -> dict[str, Any]:
    """Every tensor of google-research/bert's `BertModel` with its heads of pre-training."""
    sizes: dict[str, tuple[int, ...]] = {
        "bert/embeddings/word_embeddings": (words, width),
        "bert/embeddings/position_embeddings": (positions, width),
        "bert/embeddings/token_type_embeddings": (2, width),
    }

    def dense(name: str, rows: int, columns: int) -> None:
        sizes.update({f"{name}/kernel": (rows, columns), f"{name}/bias": (columns,)})

    def norm(name: str) -> None:
        sizes.update({f"{name}/LayerNorm/beta": (width,), f"{name}/LayerNorm/gamma": (width,)})

    norm("bert/embeddings")
    for number in range(layers):
        layer = f"bert/encoder/layer_{number}"
        for part in ("query", "key", "value"):
            dense(f"{layer}/attention/self/{part}", width, width)
        dense(f"{layer}/attention/output/dense", width, width)
        norm(f"{layer}/attention/output")
        dense(f"{layer}/intermediate/dense", width, middle)
        dense(f"{layer}/output/dense", middle, width)
        norm(f"{layer}/output")
    dense("bert/pooler/dense", width, width)
    dense("cls/predictions/transform/dense", width, width)
    norm("cls/predictions/transform")
    sizes["cls/predictions/output_bias"] = (words,)
    sizes["cls/seq_relationship/output_weights"] = (2, width)
    sizes["cls/seq_relationship/output_bias"] = (2,)
    return {name: _values(*size) for name, size in sorted(sizes.items())}


SAMPLES: tuple[Row, ...] = (
    Row(
        "tfhub-bert-v3", 3, "hub.load: no exception; a call with a dict of three int32 matrices: no exception; with "
        "text: ValueError: Could not find matching concrete function to call loaded from the SavedModel…",
        "loads", ("tfhub-text-input",), tfhub_bert_v3,
    ),
    Row(
        "tfhub-bert-v2-list", 3, "hub.load: no exception; a call with a list: no exception; with a dict: ValueError: "
        "Could not find matching concrete function to call loaded from the SavedModel…",
        "loads", ("tfhub-signature",), tfhub_bert_v2_list,
    ),
    Row(
        "tfhub-bert-v1", 3, "hub.load: no exception; a call: TypeError: 'AutoTrackable' object is not callable; "
        "hub.KerasLayer: ValueError: Unknown signature default in tfhub-bert-v1 (available signatures: …)",
        "fails", ("tfhub-v1-in-tf2",), tfhub_bert_v1,
    ),
    Row(
        "tensorflow1-bert", 3, "hub.load: no exception; a call: TypeError: 'AutoTrackable' object is not callable; "
        "hub.KerasLayer: ValueError: Signature name has to be specified for non-callable saved models…",
        "fails", ("tensorflow-savedmodel-not-callable",), tensorflow1_bert,
    ),
    Row(
        "tfhub-bert-preprocess", 3, "RuntimeError: Op type not registered 'CaseFoldUTF8' in binary running on …; after "
        "import tensorflow_text: no exception",
        "fails", ("tensorflow-op-not-registered",), tfhub_bert_preprocess,
    ),
    Row(
        "tfhub-bert-shard-truncated", 3, "IndexError: Read less bytes than requested",
        "fails", ("tensorflow-shard-truncated",), tfhub_bert_shard_truncated,
    ),
    Row(
        "tfhub-bert-index-missing", 3, "FileNotFoundError: Unsuccessful TensorSliceReader constructor: Failed to find "
        "any matching files for tfhub-bert-index-missing/variables/variables…",
        "fails", ("tensorflow-index-missing",), tfhub_bert_index_missing,
    ),
    Row(
        "tfhub-bert-empty-pb", 3, "ValueError: Importing a SavedModel with `tf.saved_model.load` requires a `tags=` "
        "argument if there is more than one MetaGraph. Got `tags=None`, but there are 0 MetaGraphs…",
        "fails", ("file-empty-file",), tfhub_bert_empty_pb,
    ),
    Row(
        "tfhub-text-asset-missing", 3, "FileNotFoundError: Graph execution error: … assets/vocab.txt; No such file or "
        "directory",
        "fails", ("tensorflow-asset-missing",), tfhub_text_asset_missing,
    ),
    Row(
        "keras-custom-layer", 3, "ValueError: Unknown layer: 'Gate'. Please ensure you are using a "
        "`keras.utils.custom_object_scope`…",
        "fails", ("keras-custom-class",), keras_custom_layer,
    ),
    Row(
        "keras-lambda", 3, "ValueError: Requested the deserialization of a `Lambda` layer whose `function` is a Python "
        "lambda…",
        "fails", ("keras-lambda-safe-mode",), keras_lambda,
    ),
    Row(
        "google-bert-checkpoint", 3,
        "tf.train.load_checkpoint: no exception; hub.load: ValueError: Trying to load a model "
        "of incompatible/unknown type. 'google-bert-checkpoint' contains neither 'saved_model.pb' nor "
        "'saved_model.pbtxt'.",
        "loads", ("tensorflow-checkpoint-no-model",), google_bert_checkpoint,
    ),
)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Build each sample below the directory named, each in a graph of its own."""
    import uuid

    import tensorflow as tf

    dest = Path(arguments[0]).absolute()
    fixed = uuid.UUID("00000000-0000-4000-8000-000000000000")
    for sample in SAMPLES:
        target = dest / sample.name
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        tf.keras.backend.clear_session()
        with mock.patch("uuid.uuid4", return_value=fixed), contextlib.chdir(target):
            sample.build(target)
        for path in target.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main(sys.argv[1:])
