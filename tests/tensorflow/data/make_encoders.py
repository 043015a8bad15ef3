"""Makes `encoders/*.zip`: tiny BERTs as TensorFlow and Keras programs write them, with what those models answer.

    python make_encoders.py hub           # keras-hub 0.32.0, keras 3.15.1, KERAS_BACKEND=torch
    python make_encoders.py garden        # tf-models-official 2.20.0, tensorflow 2.21, tf-keras 2.21
    python make_encoders.py transformers  # transformers 4.57.3, tensorflow 2.21, tf-keras 2.21, TF_USE_LEGACY_KERAS=1

Every array is random, so that a name that is taken for another one changes the answer. `answer.json` in each archive
holds the inputs and the outputs. The tests need none of these packages.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent / "encoders"
WORDS, LAYERS, HEADS, WIDTH, MIDDLE, POSITIONS = 11, 2, 2, 4, 6, 8
IDS = [[2, 5, 7, 10, 3, 0], [2, 9, 3, 0, 0, 0]]
MASK = [[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]]
TYPES = [[0, 0, 0, 1, 1, 0], [0, 1, 1, 0, 0, 0]]
PLACES = [[1, 3], [0, 2]]
"""Where the masked words are."""


def shuffled(model: Any) -> None:
    """Random values in every array of a model."""
    random = numpy.random.default_rng(20)
    for variable in model.weights:
        variable.assign(random.normal(0, 0.5, variable.shape).astype("float32"))


def keep(name: str, write: Callable[[Path], Any], outputs: dict[str, Any]) -> None:
    """One archive of what `write` puts into a directory, with the inputs and outputs."""
    folder = Path(tempfile.mkdtemp())
    write(folder)
    answer: dict[str, Any] = {"ids": IDS, "mask": MASK, "types": TYPES, "places": PLACES}
    answer["outputs"] = {key: numpy.asarray(value).astype(float).round(6).tolist() for key, value in outputs.items()}
    HERE.mkdir(exist_ok=True)
    with zipfile.ZipFile(HERE / f"{name}.zip", "w", zipfile.ZIP_LZMA) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
        archive.writestr("answer.json", json.dumps(answer))
    shutil.rmtree(folder)


def hub() -> None:
    """KerasHub's BERT: backbone, archive, preset, two tasks; and ELECTRA, whose arrays have the same names."""
    import keras_hub  # type: ignore[import-not-found]

    models = keras_hub.models
    sizes = {
        "num_layers": LAYERS, "num_heads": HEADS, "hidden_dim": WIDTH, "intermediate_dim": MIDDLE,
        "max_sequence_length": POSITIONS,
    }  # fmt: skip
    given = {
        "token_ids": numpy.array(IDS), "padding_mask": numpy.array(MASK), "segment_ids": numpy.array(TYPES),
    }  # fmt: skip

    def run(model: Any, inputs: dict[str, Any]) -> Any:
        return model.predict(inputs, verbose=0)

    bert = models.BertBackbone(vocabulary_size=WORDS, **sizes)
    shuffled(bert)
    out = run(bert, given)
    keep("hub-weights", lambda place: bert.save_weights(place / "bert.weights.h5"), out)
    keep("hub-archive", lambda place: bert.save(place / "bert.keras"), out)
    keep("hub-preset", lambda place: bert.save_to_preset(str(place)), out)
    task = models.BertTextClassifier(backbone=bert, preprocessor=None, num_classes=3)
    shuffled(task)
    keep("hub-classifier", lambda place: task.save_weights(place / "c.weights.h5"), {"logits": run(task, given)})
    masked = models.BertMaskedLM(backbone=bert, preprocessor=None)
    shuffled(masked)
    places = {**given, "mask_positions": numpy.array(PLACES)}
    keep("hub-masked", lambda place: masked.save_weights(place / "m.weights.h5"), {"words": run(masked, places)})
    electra = models.ElectraBackbone(vocab_size=WORDS, embedding_dim=WIDTH, **sizes)
    keep("hub-electra", lambda place: electra.save_weights(place / "electra.weights.h5"), {})


def garden() -> None:
    """TensorFlow Model Garden's encoders and the models around them, in every form that tf_keras writes."""
    import tensorflow as tf
    from official.nlp.modeling import layers, models, networks  # type: ignore[import-not-found]

    sizes = {
        "vocab_size": WORDS, "hidden_size": WIDTH, "num_layers": LAYERS, "num_attention_heads": HEADS,
        "max_sequence_length": POSITIONS, "type_vocab_size": 2,
    }  # fmt: skip
    given = {
        "input_word_ids": tf.constant(IDS), "input_mask": tf.constant(MASK), "input_type_ids": tf.constant(TYPES),
    }  # fmt: skip

    def first() -> Any:
        return networks.BertEncoder(intermediate_size=MIDDLE, dict_outputs=True, **sizes)

    def second() -> Any:
        model = networks.BertEncoderV2(inner_dim=MIDDLE, **sizes)
        model(model.inputs)
        return model

    def told(model: Any) -> dict[str, Any]:
        out = model(given)
        return {key: out[key] for key in ("sequence_output", "pooled_output")}

    def object_based(**parts: Any) -> Callable[[Path], Any]:
        return lambda place: tf.train.Checkpoint(**parts).save(str(place / "ckpt"))

    encoder = first()
    shuffled(encoder)
    out = told(encoder)
    keep("garden-objects", object_based(encoder=encoder), out)
    keep("garden-save-weights", lambda place: encoder.save_weights(str(place / "ckpt")), out)
    keep("garden-h5", lambda place: encoder.save_weights(str(place / "weights.h5")), out)
    keep("garden-h5-model", lambda place: encoder.save(str(place / "model.h5")), out)
    keep("garden-weights-h5", lambda place: encoder.save_weights(str(place / "bert.weights.h5")), out)
    keep("garden-archive", lambda place: encoder.save(str(place / "bert.keras")), out)
    exported(encoder, out)
    newer = second()
    shuffled(newer)
    keep("garden-v2-objects", object_based(encoder=newer), told(newer))
    keep("garden-two-encoders", object_based(teacher=newer, student=second()), {})
    gelu = networks.bert_encoder._approx_gelu
    head = layers.ClassificationHead(inner_dim=WIDTH, num_classes=2, name="next_sentence")
    for name, network in (("garden-pretrainer", first()), ("garden-v2-pretrainer", second())):
        trainer = models.BertPretrainerV2(
            encoder_network=network, mlm_activation=gelu, classification_heads=[head] if "v2" not in name else []
        )
        inputs = {**given, "masked_lm_positions": tf.constant(PLACES)}
        trainer(inputs)
        shuffled(trainer)
        parts = trainer.checkpoint_items if "v2" not in name else {"model": trainer}
        keep(name, object_based(**parts), {"words": trainer(inputs)["mlm_logits"]})
    classifier = models.BertClassifier(first(), num_classes=3)
    shuffled(classifier)
    keep("garden-classifier", object_based(model=classifier), {"logits": classifier(given)})


def exported(encoder: Any, out: dict[str, Any]) -> None:
    """The encoder as Model Garden exports it for TensorFlow Hub: a SavedModel whose checkpoint counts its variables."""
    import tensorflow as tf
    from official.legacy.bert import configs  # type: ignore[import-not-found]
    from official.nlp.tools import export_tfhub_lib  # type: ignore[import-not-found]

    place = Path(tempfile.mkdtemp())
    vocabulary = place / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefg"]), "ascii")
    prefix = tf.train.Checkpoint(encoder=encoder).save(str(place / "ckpt"))
    config = configs.BertConfig(
        vocab_size=WORDS, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=MIDDLE, max_position_embeddings=POSITIONS, type_vocab_size=2,
    )  # fmt: skip

    def write(folder: Path) -> None:
        export_tfhub_lib.export_model(
            str(folder), bert_config=config, model_checkpoint_path=prefix, with_mlm=False,
            vocab_file=str(vocabulary), do_lower_case=True,
        )  # fmt: skip
        (folder / "keras_metadata.pb").unlink()

    keep("garden-saved-model", write, out)


def transformers() -> None:
    """transformers 4's TensorFlow BERT in the forms that are not tf_model.h5."""
    import tensorflow as tf
    from transformers import BertConfig, TFBertForSequenceClassification

    config = BertConfig(
        vocab_size=WORDS, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=MIDDLE, max_position_embeddings=POSITIONS, num_labels=3,
        architectures=["BertForSequenceClassification"],
    )  # fmt: skip
    model = TFBertForSequenceClassification(config)
    given = {"input_ids": tf.constant(IDS), "attention_mask": tf.constant(MASK), "token_type_ids": tf.constant(TYPES)}
    model(given)
    shuffled(model)
    out = {"logits": model(given).logits}

    def beside(write: Callable[[str], Any], name: str) -> Callable[[Path], Any]:
        def both(place: Path) -> None:
            config.save_pretrained(place)
            write(str(place / name))

        return both

    keep("transformers-h5", beside(model.save_weights, "weights.h5"), out)
    keep("transformers-h5-alone", lambda place: model.save_weights(str(place / "weights.h5")), out)
    keep("transformers-save-weights", beside(model.save_weights, "ckpt"), out)
    pooled = {"pooled_output": model.bert(given).pooler_output}
    keep("transformers-weights-h5", beside(model.save_weights, "bert.weights.h5"), pooled)
    keep("transformers-objects", beside(tf.train.Checkpoint(model=model).save, "ckpt"), out)


if __name__ == "__main__":
    {"hub": hub, "garden": garden, "transformers": transformers}[sys.argv[1]]()
