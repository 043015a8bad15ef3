"""BERT as TensorFlow 2 and Keras programs store it: compared under transformers' names, converted, and run.

The files and the answers of the models that wrote them are in `data/encoders` (`data/make_encoders.py`).
"""

from __future__ import annotations

import json
import shlex
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest

from tests.conftest import SAMPLES, as_printed
from tests.triage.test_command_line import answer
from tui.core.assemble import read_directory, read_one_file
from tui.core.diagnosis import bert_layouts, translated
from tui.core.tensors import Tensor

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint

pytestmark = pytest.mark.loader
pytest.importorskip("h5py")
DATA = Path(__file__).parent / "data" / "encoders"
FORMS: dict[str, tuple[str, str, int]] = {
    "hub-weights": ("bert.weights.h5", "BertModel", 39),
    "hub-archive": ("bert.keras", "BertModel", 39),
    "hub-preset": ("", "BertModel", 39),
    "hub-classifier": ("c.weights.h5", "BertForSequenceClassification", 41),
    "hub-masked": ("m.weights.h5", "BertForMaskedLM", 42),
    "garden-objects": ("", "BertModel", 39),
    "garden-save-weights": ("", "BertModel", 39),
    "garden-h5": ("weights.h5", "BertModel", 39),
    "garden-h5-model": ("model.h5", "BertModel", 39),
    "garden-weights-h5": ("bert.weights.h5", "BertModel", 39),
    "garden-archive": ("bert.keras", "BertModel", 39),
    "garden-saved-model": ("", "BertModel", 39),
    "garden-v2-objects": ("", "BertModel", 39),
    "garden-pretrainer": ("", "BertForMaskedLM", 42),
    "garden-v2-pretrainer": ("", "BertForMaskedLM", 42),
    "garden-classifier": ("", "BertForSequenceClassification", 41),
    "transformers-h5": ("", "BertForSequenceClassification", 41),
    "transformers-save-weights": ("", "BertForSequenceClassification", 41),
    "transformers-objects": ("", "BertForSequenceClassification", 41),
}
"""The archive: the file in it that is given (the directory where it is empty), the class, and the keys that match."""


CLOSE = 5e-5
"""Float32 in another order of operations; KerasHub's head of masked words also adds 1e-5 where torch's adds 1e-12."""


def unpacked(name: str, place: Path, file: str = "") -> tuple[Path, dict[str, Any]]:
    """The files as a user has them, in a path that a shell would split, and what their model answered."""
    folder = place / f"it's {name}"
    with zipfile.ZipFile(DATA / f"{name}.zip") as archive:
        archive.extractall(folder)
    told: dict[str, Any] = json.loads((folder / "answer.json").read_text("utf-8"))
    (folder / "answer.json").unlink()
    return folder / file if file else folder, told


def converts(checkpoint: dict[str, Any]) -> list[str]:
    """The fix of the one finding that offers a conversion."""
    [finding] = [item for item in checkpoint["findings"] if item["fix"][0].startswith("ckptriage convert")]
    fix: list[str] = finding["fix"]
    return fix


def answered(model: Any, told: dict[str, Any]) -> dict[str, Any]:
    """What the class of transformers answers to the same inputs, under the names that `answer.json` has."""
    import torch

    given = {"input_ids": told["ids"], "attention_mask": told["mask"], "token_type_ids": told["types"]}
    with torch.no_grad():
        out = model.eval()(**{key: torch.tensor(value) for key, value in given.items()})
    logits = out.get("logits")
    kept = {"sequence_output": out.get("last_hidden_state"), "pooled_output": out.get("pooler_output")}
    kept["logits"] = logits
    if "words" in told["outputs"] and logits is not None:
        kept["words"] = torch.stack([row[places] for row, places in zip(logits, told["places"], strict=True)])
    return {key: kept[key].numpy() for key in told["outputs"]}


@pytest.mark.parametrize("name", FORMS)
def test_compared_converted_and_answering_as_the_model_that_wrote_it(name: str, tmp_path: Path) -> None:
    import transformers

    file, expected, keys = FORMS[name]
    source, told = unpacked(name, tmp_path, file)
    loader = getattr(transformers, expected)
    with pytest.raises((OSError, ValueError, KeyError)):
        loader.from_pretrained(source)
    code, compared = answer("compare", str(source), "--json")
    assert (code, compared["model_class"], compared["loads"]) == (1, expected, False)
    assert (compared["matched"], compared["missing"], compared["mismatched"]) == (keys, [], [])
    assert set(compared["unexpected"]) <= {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert compared["error"]["type"] in ("NotConverted", "OSError")
    _, report = answer("check", str(source), "--json", "--files-only")
    [command] = converts(report["checkpoints"][0])
    done = as_printed(command)
    assert done.returncode == 0, done.stderr[-2000:]
    made = Path(shlex.split(command)[-1])
    model, info = loader.from_pretrained(made, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    for key, value in answered(model, told).items():
        numpy.testing.assert_allclose(value, told["outputs"][key], atol=CLOSE, err_msg=key)
    again = as_printed(command)
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_heads_of_a_task_that_the_names_do_not_tell_are_named_and_left_out(tmp_path: Path) -> None:
    import transformers

    source, told = unpacked("transformers-weights-h5", tmp_path)
    _, compared = answer("compare", str(source), "--json")
    assert (compared["matched"], compared["missing"]) == (39, ["classifier.bias", "classifier.weight"])
    assert "2 arrays not compared, without a name in transformers: layers/dense/vars/0" in str(compared["undecided"])
    _, report = answer("check", str(source), "--json", "--files-only")
    done = as_printed(converts(report["checkpoints"][0])[0])
    assert done.returncode == 0, done.stderr[-2000:]
    model = transformers.BertModel.from_pretrained(f"{source}-safetensors")
    numpy.testing.assert_allclose(answered(model, told)["pooled_output"], told["outputs"]["pooled_output"], atol=CLOSE)


def test_where_no_config_is_known_the_second_command_recovers_it(tmp_path: Path) -> None:
    import transformers

    source, _ = unpacked("transformers-h5-alone", tmp_path, "weights.h5")
    _, compared = answer("compare", str(source), "--json")
    [draft] = compared["drafts"][:1]
    assert draft["class"] == "BertForSequenceClassification"
    assert (draft["comparison"]["matched"], draft["comparison"]["missing"]) == (41, [])
    _, report = answer("check", str(source), "--json", "--files-only")
    fix = converts(report["checkpoints"][0])
    assert len(fix) == 2
    done = as_printed(fix[0])
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"then: {fix[1]}" in done.stdout
    assert as_printed(fix[1]).returncode == 1  # there was no config yet: the comparison says so, and writes one
    assert answer("check", f"{source}-safetensors", "--json")[1]["checkpoints"][0]["verdict"] == "loads"
    _, info = transformers.BertForSequenceClassification.from_pretrained(
        f"{source}-safetensors", output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]


def test_a_config_beside_it_is_held_against_the_arrays(tmp_path: Path) -> None:
    source, _ = unpacked("garden-objects", tmp_path)
    config = {
        "vocab_size": 12, "hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 6,
        "max_position_embeddings": 8, "type_vocab_size": 2, "hidden_act": "gelu",
    }  # fmt: skip
    (source / "bert_config.json").write_text(json.dumps(config), "utf-8")
    _, compared = answer("compare", str(source), "--json")
    assert [item["key"] for item in compared["mismatched"]] == ["embeddings.word_embeddings.weight"]
    assert {"field": "vocab_size", "config": 12, "weights": 11, "keys": 1} in compared["fields"]
    _, compared = answer("compare", str(source), "--json", "--set", "vocab_size=11")
    assert compared["mismatched"] == []


def test_classes_of_kerashub_are_there_once_it_is_imported(tmp_path: Path) -> None:
    source, _ = unpacked("hub-archive", tmp_path, "bert.keras")
    _, report = answer("check", str(source), "--json", "--files-only")
    [finding] = [item for item in report["checkpoints"][0]["findings"] if item["rule"] == "keras-custom-class"]
    assert finding["title"] == "It needs keras-hub: BertBackbone"
    assert finding["fix"][0].startswith("import keras, keras_hub  # pip install keras-hub")
    assert "custom_objects" not in finding["fix"][0]


UNKNOWN = {
    "hub-electra": ("electra.weights.h5", "of no layout that is known here", "layers/dense/vars/0"),
    "garden-two-encoders": ("", "more than one encoder", "student/_embedding_layer/embeddings"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_is_said_to_be_unknown(name: str, tmp_path: Path) -> None:
    file, why, first = UNKNOWN[name]
    source, _ = unpacked(name, tmp_path, file)
    _said_to_be_unknown(source, why, first)


@pytest.mark.parametrize("name", ["keras-lambda", "tfhub-bert-v3", "tensorflow1-bert", "tfhub-bert-v1"])
def test_samples_that_no_class_is_known_for(name: str) -> None:
    _said_to_be_unknown(SAMPLES / name, "of no layout that is known here", "")


def _said_to_be_unknown(source: Path, why: str, first: str) -> None:
    code, compared = answer("compare", str(source), "--json")
    assert (code, compared["loads"], compared["matched"]) == (1, False, 0)
    assert compared["error"]["type"] == "NotTranslated"
    assert why in compared["error"]["message"]
    assert "Whether a class would fit them is not known" in compared["error"]["message"]
    assert compared["undecided"][0].startswith("not translated: ")
    assert first in compared["undecided"][0]
    _, report = answer("check", str(source), "--json", "--files-only")
    fixes = [line for item in report["checkpoints"][0]["findings"] for line in item["fix"]]
    assert not any("ckptriage convert" in line for line in fixes)
    done = as_printed(f"ckptriage convert {shlex.quote(str(source))}")
    assert done.returncode == 2
    assert why in done.stderr


def test_weights_of_transformers_are_not_for_conversion(tmp_path: Path) -> None:
    done = as_printed(f"ckptriage convert {SAMPLES / 'bert-ner'} {tmp_path / 'new'}")
    assert done.returncode == 2
    assert "holds no weights of TensorFlow or Keras" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_damaged_file_is_neither_translated_nor_converted(tmp_path: Path) -> None:
    source, _ = unpacked("hub-weights", tmp_path, "bert.weights.h5")
    source.write_bytes(source.read_bytes()[:20_000])
    checkpoint = read_one_file(source, "x")
    assert translated.encoder(checkpoint) is None
    assert translated.conversion(checkpoint) is None
    assert translated.as_transformers(checkpoint) is checkpoint


def test_an_array_whose_bytes_are_cut_off_is_not_written(tmp_path: Path) -> None:
    source, _ = unpacked("garden-objects", tmp_path)
    data = source / "ckpt-1.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:500])
    done = as_printed(f"ckptriage convert {shlex.quote(str(source))} {shlex.quote(str(tmp_path / 'new'))}")
    assert done.returncode == 1
    assert not (tmp_path / "new").exists()


def test_the_program_is_printed_and_nothing_is_run(tmp_path: Path) -> None:
    source, _ = unpacked("hub-weights", tmp_path, "bert.weights.h5")
    done = as_printed(f"ckptriage convert --program {shlex.quote(str(source))}")
    assert done.returncode == 0
    compile(done.stdout, "program", "exec")
    assert [path.name for path in source.parent.iterdir()] == ["bert.weights.h5"]


def test_names_that_mean_harm_take_no_time() -> None:
    names = [
        "a/" * 200 + "layer_with_weights-4/_attention_layer/_query_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE",
        "layer_with_weights-" + "9" * 200 + "/_attention_layer/_query_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE",
        "/" * 5_000, "transformer/layer_0/self_attention/query/kernel:0" * 50, "", ":0",
    ]  # fmt: skip
    for name in names:
        bert_layouts.translate([Tensor(name, "F32", (1, 2, 3), 24)])
    many = [Tensor(f"layer_with_weights-4/{number}", "F32", (1,), 4) for number in range(30_000)]
    assert bert_layouts.translate(many) is None
    far = "_transformer_layers/99999/_attention_layer/_query_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    near = far.replace("99999", "0")
    assert bert_layouts.translate([Tensor(near, "F32", (1, 2, 3), 24), Tensor(far, "F32", (1, 2, 3), 24)]) is None


def test_an_encoder_with_a_projection_between_is_no_bert(tmp_path: Path) -> None:
    """Embeddings of another width than the layers shift every number: the layers then begin at 5."""
    source, _ = unpacked("garden-objects", tmp_path)
    checkpoint: Checkpoint = read_directory(source, "x")
    shifted = [
        Tensor(item.name.replace("weights-5/", "weights-9/").replace("weights-4/", "weights-5/"), "F32", item.shape, 4)
        for item in checkpoint.tensors
        if "weights-6/" not in item.name
    ]
    assert bert_layouts.translate(checkpoint.tensors) is not None
    assert bert_layouts.translate(shifted) is None
