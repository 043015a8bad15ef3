"""Every rule of SavedModels with the real words, and a look-alike for which it stays silent."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import SAMPLES, as_printed
from tui.core.assemble import read_directory
from tui.core.diagnosis import tensorflow_calls as calls
from tui.core.diagnosis.evidence import Evidence, Finding
from tui.core.diagnosis.messages import rules_in
from tui.core.report.model import Triage, triage_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.checkpoint import Checkpoint

pytestmark = pytest.mark.loader
tf = pytest.importorskip("tensorflow")
hub = pytest.importorskip("tensorflow_hub")


def _judged(path: Path, packages: dict[str, str] | None = None) -> Triage:
    return triage_of(Evidence(read_directory(path, str(path)), packages=packages))


def _rules(path: Path, packages: dict[str, str] | None = None) -> dict[str, Finding]:
    return {item.rule: item for item in _judged(path, packages).findings}


def _ids() -> Any:
    return tf.ones([2, 6], tf.int32)


def _named() -> dict[str, Any]:
    return {name: _ids() for name in calls.BERT_INPUTS}


def _error(action: Callable[[], Any]) -> str:
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("no exception")


def _edited(sample: str, target: Path, change: Callable[[Any], None]) -> Path:
    """A sample whose protobuf was changed through the real one."""
    from tensorflow.core.protobuf import saved_model_pb2

    shutil.copytree(SAMPLES / sample, target)
    message = saved_model_pb2.SavedModel.FromString((target / "saved_model.pb").read_bytes())
    change(message)
    (target / "saved_model.pb").write_bytes(message.SerializeToString())
    return target


# reading


@pytest.mark.parametrize("name", ["tfhub-bert-v3", "tfhub-bert-v2-list", "tfhub-bert-v1", "tfhub-bert-preprocess"])
def test_the_reader_agrees_with_the_real_protobuf(name: str) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel.FromString((SAMPLES / name / "saved_model.pb").read_bytes())
    metadata = read_directory(SAMPLES / name, name).by_name["saved_model.pb"].metadata
    assert len(metadata["meta_graphs"]) == len(message.meta_graphs)
    for ours, real in zip(metadata["meta_graphs"], message.meta_graphs, strict=True):
        graph = real.graph_def
        functions = {function.signature.name for function in graph.library.function}
        ops = {node.op for node in graph.node}
        ops |= {node.op for function in graph.library.function for node in function.node_def}
        assert set(ours["ops"]) == ops - functions
        assert ours["tags"] == list(real.meta_info_def.tags)
        assert ours["tensorflow_version"] == real.meta_info_def.tensorflow_version
        assert (ours["producer"], ours["min_consumer"]) == (graph.versions.producer, graph.versions.min_consumer)
        assert set(ours["signatures"]) == set(real.signature_def) - {"__saved_model_init_op"}
        for key, signature in ours["signatures"].items():
            assert set(signature["inputs"]) == set(real.signature_def[key].inputs)
            for argument, spec in signature["inputs"].items():
                assert tf.as_dtype(spec["dtype"]).as_datatype_enum == real.signature_def[key].inputs[argument].dtype
        assert ours["object_graph"] == real.HasField("object_graph_def")
        assert ours.get("objects", 0) == len(real.object_graph_def.nodes)
        assert set(ours["assets"]) == {item.filename for item in real.asset_file_def}


def test_what_a_call_expects_is_read_from_the_object_graph() -> None:
    way = calls.expected(read_directory(SAMPLES / "tfhub-bert-v3", "x"))
    assert way is not None
    assert way.target == "call"
    assert calls.input_lines(way) == [
        "model(…)",
        "  inputs: dict",
        "    input_mask: int32[?,?]",
        "    input_type_ids: int32[?,?]",
        "    input_word_ids: int32[?,?]",
    ]
    way = calls.expected(read_directory(SAMPLES / "tfhub-bert-v2-list", "x"))
    assert way is not None
    assert way.first is not None
    assert way.first["spec"] == "list"
    way = calls.expected(read_directory(SAMPLES / "tfhub-bert-preprocess", "x"))
    assert way is not None
    assert calls.takes_text(way)


def test_a_pb_cut_at_every_field_is_refused_as_tensorflow_refuses_it(tmp_path: Path) -> None:
    target = tmp_path / "x"
    shutil.copytree(SAMPLES / "tfhub-bert-v3", target)
    whole = (target / "saved_model.pb").read_bytes()
    for size in (3, 5, 17, 1000, len(whole) // 2, len(whole) - 1):
        (target / "saved_model.pb").write_bytes(whole[:size])
        judged = _judged(target)
        assert judged.verdict == "fails"
        assert "tensorflow-pb-damaged" in {item.rule for item in judged.findings}
        assert "Wire format was corrupt" in _error(lambda: hub.load(str(target)))


# rules


def test_a_module_of_tensorflow_1() -> None:
    path = str(SAMPLES / "tfhub-bert-v1")
    assert "tfhub-v1-in-tf2" in _rules(Path(path))
    said = _error(lambda: hub.KerasLayer(path))
    assert "Unknown signature default in" in said
    assert rules_in(said)[0][0] == "tfhub-v1-in-tf2"
    said = _error(lambda: hub.load(path)(_named()))
    assert "'AutoTrackable' object is not callable" in said
    assert "requires a `tags=` argument" in _error(lambda: tf.saved_model.load(path))
    assert "tfhub-v1-in-tf2" not in _rules(SAMPLES / "tfhub-bert-v3")


def test_a_module_with_a_default_signature_works_through_the_layer(tmp_path: Path) -> None:
    def rename(message: Any) -> None:
        for graph in message.meta_graphs:
            graph.signature_def["default"].CopyFrom(graph.signature_def["tokens"])

    target = _edited("tfhub-bert-v1", tmp_path / "x", rename)
    judged = _judged(target)
    assert judged.verdict == "loads"
    assert {item.rule: item.severity for item in judged.findings}["tfhub-v1-in-tf2"] == "warning"
    layer = hub.KerasLayer(str(target), signature_outputs_as_dict=True)
    assert layer({"input_ids": _ids(), "input_mask": _ids(), "segment_ids": _ids()})["pooled_output"].shape == (2, 8)


def test_a_saved_model_of_tensorflow_1() -> None:
    path = SAMPLES / "tensorflow1-bert"
    assert _rules(path)["tensorflow-savedmodel-not-callable"].severity == "error"
    assert "Signature name has to be specified" in _error(lambda: hub.KerasLayer(str(path)))
    assert "'AutoTrackable' object is not callable" in _error(lambda: hub.load(str(path))(_named()))


def test_signatures_only_is_how_serving_works(tmp_path: Path) -> None:
    class Model(tf.Module):  # type: ignore[name-defined]  # TensorFlow is not typed here
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def run(self, x: Any) -> Any:
            return {"y": x * 2.0}

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "x"), signatures={"serving_default": model.run})
    judged = _judged(tmp_path / "x")
    assert judged.verdict == "loads"
    assert {item.rule: item.severity for item in judged.findings} == {"tfhub-keraslayer-signature": "info"}
    said = _error(lambda: hub.KerasLayer(str(tmp_path / "x"), signature="serving_default"))
    assert "either output_key or signature_outputs_as_dict=True" in said
    assert rules_in(said)[0][0] == "tfhub-keraslayer-signature"


def test_several_graphs_want_tags(tmp_path: Path) -> None:
    def twice(message: Any) -> None:
        message.meta_graphs.add().CopyFrom(message.meta_graphs[0])
        message.meta_graphs[1].meta_info_def.tags[:] = ["train"]

    target = _edited("tensorflow1-bert", tmp_path / "x", twice)
    assert "tensorflow-tags" in _rules(target)
    said = _error(lambda: hub.load(str(target)))
    assert "requires a `tags=` argument" in said
    assert rules_in(said)[0][0] == "tensorflow-tags"
    assert "tensorflow-tags" not in _rules(SAMPLES / "tensorflow1-bert")


def test_ops_of_tensorflow_text() -> None:
    path = SAMPLES / "tfhub-bert-preprocess"
    finding = _rules(path, {"tensorflow": "2.21.0"})["tensorflow-op-not-registered"]
    assert 'pip install "tensorflow-text==2.21.*"' in finding.fix
    said = _error(lambda: hub.load(str(path)))
    assert "Op type not registered 'CaseFoldUTF8'" in said
    assert rules_in(said)[0][0] == "tensorflow-op-not-registered"
    assert finding.evidence[0].endswith(
        "CaseFoldUTF8, NormalizeUTF8, RegexSplitWithOffsets, WordpieceTokenizeWithOffsets"
    )
    assert "tensorflow-op-not-registered" not in _rules(SAMPLES / "tfhub-text-asset-missing")


def test_the_list_of_ops_is_that_of_the_installed_release() -> None:
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    from tui.core.diagnosis.tensorflow_ops import NEWEST, PRODUCER, known, package_of

    if not tf.__version__.startswith(f"{NEWEST}."):
        pytest.skip("another release of TensorFlow")
    registered = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    names = {op.name for op in registered.op}
    assert {name for name in names - known() if not package_of(name)} == set()
    assert known() <= names
    assert tf.compat.v1.GRAPH_DEF_VERSION == PRODUCER


def test_an_op_that_nobody_knows(tmp_path: Path) -> None:
    def strange(message: Any) -> None:
        node = message.meta_graphs[0].graph_def.node.add()
        node.name, node.op = "strange", "AcmeFancyTanh"

    target = _edited("tensorflow1-bert", tmp_path / "x", strange)
    assert "AcmeFancyTanh" in _rules(target)["tensorflow-op-not-registered"].title
    assert "Op type not registered 'AcmeFancyTanh'" in _error(lambda: hub.load(str(target)))


def test_a_graph_for_a_later_release(tmp_path: Path) -> None:
    def later(message: Any) -> None:
        message.meta_graphs[0].graph_def.versions.min_consumer = 99_000

    target = _edited("tensorflow1-bert", tmp_path / "one", later)
    assert _rules(target)["tensorflow-newer-writer"].severity == "error"
    said = _error(lambda: hub.load(str(target)))
    assert "GraphDef min consumer version 99000 above current version" in said
    assert rules_in(said)[0][0] == "tensorflow-newer-writer"
    target = _edited("tfhub-bert-v3", tmp_path / "two", later)
    assert "tensorflow-newer-writer" not in _rules(target)
    assert hub.load(str(target))(_named())["pooled_output"].shape == (2, 8)


def test_a_newer_writer_than_the_environment() -> None:
    rules = _rules(SAMPLES / "tfhub-bert-v3", {"tensorflow": "2.12.0"})
    assert rules["tensorflow-newer-writer"].severity == "warning"
    assert _judged(SAMPLES / "tfhub-bert-v3", {"tensorflow": "2.12.0"}).verdict == "loads"
    rules = _rules(SAMPLES / "tfhub-bert-v3", {"tensorflow": "2.6.0"})
    assert "DisableCopyOnRead" in rules["tensorflow-op-not-registered"].evidence[1]
    assert "tensorflow-newer-writer" not in _rules(SAMPLES / "tfhub-bert-v3", {"tensorflow": "2.21.0"})


def test_python_functions_in_the_graph(tmp_path: Path) -> None:
    class Model(tf.Module):  # type: ignore[name-defined]  # TensorFlow is not typed here
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x: Any) -> Any:
            return tf.py_function(lambda value: value + 1, [x], tf.float32)

    tf.saved_model.save(Model(), str(tmp_path / "x"))
    assert "tensorflow-py-function" in _rules(tmp_path / "x")
    code = f"import tensorflow as tf; tf.saved_model.load({str(tmp_path / 'x')!r})(tf.ones([1]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Could not find callback with key=pyfunc_" in done.stderr
    assert tuple(rule for rule, _ in rules_in(done.stderr))[:1] == ("tensorflow-py-function",)
    assert "tensorflow-py-function" not in _rules(SAMPLES / "tfhub-bert-v3")


def test_variables_of_another_model(tmp_path: Path) -> None:
    target = tmp_path / "x"
    shutil.copytree(SAMPLES / "tfhub-bert-v3", target)

    class Other(tf.Module):  # type: ignore[name-defined]  # TensorFlow is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.embeddings = tf.Variable(tf.ones([3, 3]))

    tf.saved_model.save(Other(), str(tmp_path / "other"))
    shutil.rmtree(target / "variables")
    shutil.copytree(tmp_path / "other" / "variables", target / "variables")
    assert "tensorflow-variables-mismatch" in _rules(target)
    assert _error(lambda: hub.load(str(target)))
    assert "tensorflow-variables-mismatch" not in _rules(SAMPLES / "tfhub-bert-v3")


def test_an_asset_that_is_not_needed_at_load(tmp_path: Path) -> None:
    target = tmp_path / "x"
    shutil.copytree(SAMPLES / "tfhub-bert-v3", target)
    shutil.rmtree(target / "assets")
    judged = _judged(target)
    assert judged.verdict == "degraded"
    assert {item.rule: item.severity for item in judged.findings}["tensorflow-asset-missing"] == "warning"
    assert hub.load(str(target))(_named())["pooled_output"].shape == (2, 8)


def test_a_pointer_under_the_name_of_a_shard(tmp_path: Path) -> None:
    target = tmp_path / "x"
    shutil.copytree(SAMPLES / "tfhub-bert-v3", target)
    shard = target / "variables" / "variables.data-00000-of-00001"
    shard.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9999\n", "utf-8")
    assert "lfs-pointer-pickle" in _rules(target)
    assert "Read less bytes" in _error(lambda: hub.load(str(target)))


def test_no_variables_directory(tmp_path: Path) -> None:
    target = tmp_path / "x"
    shutil.copytree(SAMPLES / "tfhub-bert-v3", target)
    shutil.rmtree(target / "variables")
    assert "tensorflow-index-missing" in _rules(target)
    assert "Failed to find any matching files" in _error(lambda: hub.load(str(target)))


# the environment


def test_setuptools_without_pkg_resources() -> None:
    path = SAMPLES / "tfhub-bert-v3"
    finding = _rules(path, {"tensorflow-hub": "0.16.1", "setuptools": "84.2.1"})["tfhub-pkg-resources"]
    assert finding.fix == ('pip install "setuptools<82"',)
    assert "tfhub-pkg-resources" in _rules(path, {"tensorflow-hub": "0.16.1"})
    assert "tfhub-pkg-resources" not in _rules(path, {"tensorflow-hub": "0.16.1", "setuptools": "81.0.0"})
    assert "tfhub-pkg-resources" not in _rules(path)


def test_the_layer_of_hub_is_none_of_keras_3() -> None:
    import keras

    path = SAMPLES / "tfhub-bert-v3"
    assert "keras-hub-layer-not-instance" in _rules(path, {"tensorflow-hub": "0.16.1", "keras": "3.15.1"})
    assert "keras-hub-layer-not-instance" not in _rules(path, {"tensorflow-hub": "0.16.1", "keras": "2.15.0"})
    said = _error(lambda: keras.Sequential([hub.KerasLayer(str(path))]))
    assert rules_in(said)[0][0] == "keras-hub-layer-not-instance"
    said = _error(lambda: keras.models.load_model(path))
    assert rules_in(said)[0][0] == "keras3-savedmodel"


# calls


CALLS: dict[str, tuple[str, Any, Callable[[], Any], str]] = {
    "text": ("tfhub-bert-v3", {"text": "string[1]"}, lambda: {"text": tf.constant(["hello"])}, "tfhub-text-input"),
    "a string": ("tfhub-bert-v3", "string[1]", lambda: tf.constant(["hello"]), "tfhub-text-input"),
    "hugging face": (
        "tfhub-bert-v3",
        {"input_ids": "int32[2,6]", "attention_mask": "int32[2,6]", "token_type_ids": "int32[2,6]"},
        lambda: {"input_ids": _ids(), "attention_mask": _ids(), "token_type_ids": _ids()},
        "tfhub-input-names",
    ),
    "tensorflow 1": (
        "tfhub-bert-v3",
        {"input_ids": "int32[2,6]", "input_mask": "int32[2,6]", "segment_ids": "int32[2,6]"},
        lambda: {"input_ids": _ids(), "input_mask": _ids(), "segment_ids": _ids()},
        "tfhub-input-names",
    ),
    "a list": ("tfhub-bert-v3", ["int32[2,6]"] * 3, lambda: [_ids()] * 3, "tfhub-signature"),
    "int64": (
        "tfhub-bert-v3",
        dict.fromkeys(calls.BERT_INPUTS, "int64[2,6]"),
        lambda: {name: tf.cast(value, tf.int64) for name, value in _named().items()},
        "tfhub-input-dtype",
    ),
    "no batch": (
        "tfhub-bert-v3",
        dict.fromkeys(calls.BERT_INPUTS, "int32[6]"),
        lambda: {name: value[0] for name, value in _named().items()},
        "tfhub-input-dtype",
    ),
    "a dict for a list": (
        "tfhub-bert-v2-list", dict.fromkeys(calls.BERT_INPUTS, "int32[2,6]"), _named, "tfhub-signature",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_is_told_apart_and_really_fails(name: str) -> None:
    sample, described, values, rule = CALLS[name]
    way = calls.expected(read_directory(SAMPLES / sample, "x"))
    assert way is not None
    found = calls.check_call(way, described)
    assert {item.rule for item in found} == {rule}
    assert all(item.words and item.fix for item in found)
    said = _error(lambda: hub.load(str(SAMPLES / sample))(values()))
    assert "Could not find matching concrete function to call" in said
    assert rule in {found for found, _ in rules_in(said)} | {"tfhub-input-dtype" if name == "no batch" else ""}


def test_right_calls_are_not_blamed() -> None:
    way = calls.expected(read_directory(SAMPLES / "tfhub-bert-v3", "x"))
    assert way is not None
    assert calls.check_call(way, dict.fromkeys(calls.BERT_INPUTS, "int32[2,6]")) == []
    way = calls.expected(read_directory(SAMPLES / "tfhub-bert-v2-list", "x"))
    assert way is not None
    assert calls.check_call(way, ["int32[2,6]"] * 3) == []


def test_a_text_model_given_a_dict_or_a_scalar(tmp_path: Path) -> None:
    class Text(tf.Module):  # type: ignore[name-defined]  # TensorFlow is not typed here
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def __call__(self, text: Any) -> Any:
            return tf.strings.length(text)

    tf.saved_model.save(Text(), str(tmp_path / "x"))
    way = calls.expected(read_directory(tmp_path / "x", "x"))
    assert way is not None
    model = hub.load(str(tmp_path / "x"))
    for described, value in (({"text": "string[1]"}, {"text": tf.constant(["a"])}), ("string[]", tf.constant("a"))):
        assert [item.rule for item in calls.check_call(way, described)] == ["tfhub-text-structure"]
        assert rules_in(_error(partial(model, value)))[0][0] == "tfhub-text-structure"
    assert calls.check_call(way, "string[1]") == []


@pytest.mark.parametrize(
    "name", ["tfhub-bert-v3", "tfhub-bert-v2-list", "tfhub-bert-v1", "tensorflow1-bert", "tfhub-bert-preprocess"]
)
def test_the_printed_program_calls_this_very_model(name: str, tmp_path: Path) -> None:
    target = tmp_path / "it's a model"
    shutil.copytree(SAMPLES / name, target)
    program = calls.snippet(read_directory(target, "x"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "(1, 8)" in done.stdout or "TensorShape([1, 8])" in done.stdout or "(1, 16)" in done.stdout


# the checkpoint of Google's BERT


def test_googles_bert_is_converted_by_the_printed_program(tmp_path: Path) -> None:
    import transformers

    target = tmp_path / "it's bert"
    shutil.copytree(SAMPLES / "google-bert-checkpoint", target)
    finding = _rules(target)["tensorflow-checkpoint-no-model"]
    done = as_printed(finding.fix[0])
    assert done.returncode == 0, done.stderr[-2000:]
    made = Path(f"{target}-safetensors")
    model, info = transformers.BertForPreTraining.from_pretrained(made, output_loading_info=True)
    assert not info["unexpected_keys"]
    assert not info["missing_keys"]
    reader = tf.train.load_checkpoint(str(target / "bert_model.ckpt"))
    kernel = reader.get_tensor("bert/encoder/layer_1/attention/self/query/kernel")
    weight = model.bert.encoder.layer[1].attention.self.query.weight.detach().numpy()
    assert (weight == kernel.T).all()
    again = as_printed(finding.fix[0])
    assert "is there already" in again.stderr


def test_googles_bert_is_compared_under_transformers_names(tmp_path: Path) -> None:
    from tests.triage.test_command_line import answer

    target = tmp_path / "bert"
    shutil.copytree(SAMPLES / "google-bert-checkpoint", target)
    code, told = answer("compare", str(target), "--json")
    assert (code, told["model_class"], told["loads"]) == (1, "BertForPreTraining", False)
    assert told["error"]["type"] == "NotConverted"
    assert told["missing"] == told["unexpected"] == told["mismatched"] == []
    assert told["matched"] > 40
    code, told = answer("compare", str(target), "--set", "hidden_size=16", "--json")
    assert code == 1
    assert told["mismatched"]


def test_translated_names_are_those_of_the_class() -> None:
    import transformers

    from tui.core.diagnosis.bert_checkpoint import translated_tensors

    checkpoint: Checkpoint = read_directory(SAMPLES / "google-bert-checkpoint", "x")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16,
    )  # fmt: skip
    wanted = {name: tuple(value.shape) for name, value in transformers.BertForPreTraining(config).state_dict().items()}
    ours = translated_tensors(checkpoint.tensors)
    assert ours["bert.embeddings.word_embeddings.weight"][1] == 8
    missing = {name for name in wanted if name not in ours}
    assert missing <= {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "bert.embeddings.position_ids"}
    assert set(ours) <= set(wanted)
