"""The 24 causes for which a model of TensorFlow, TensorFlow Hub or Keras does not load, one row each.

A row is built with the real libraries, foretold from its files and then really loaded and called in the confined
worker: the rule must have been named before, and the library's own words must come out. Beside it stands a look-alike
about which the rule is silent, and which loads.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
import subprocess
import tempfile
import venv
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from socket import gaierror
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import numpy
import pytest

from tests.conftest import SAMPLES
from tests.triage.test_command_line import run
from tui.core.diagnosis import given_call
from tui.core.diagnosis.messages import rules_in
from tui.core.diagnosis.pages import PAGES
from tui.triage.flow import triage_all
from tui.triage.load import LoadOptions, agreement, diagnose_after, log_text, make_attempt, refusal
from tui.triage.options import Options
from tui.triage.paths import checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.report.model import Triage
    from tui.loading.attempt import LoadOutcome

pytestmark = pytest.mark.loader
tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_hub")

IDS = '{"input_word_ids": "int32[2,6]", "input_mask": "int32[2,6]", "input_type_ids": "int32[2,6]"}'
THREE = '["int32[2,6]", "int32[2,6]", "int32[2,6]"]'


def _sample(name: str) -> Callable[[Path], Path]:
    def build(place: Path) -> Path:
        return Path(shutil.copytree(SAMPLES / name, place / name))

    return build


def _damaged(name: str, change: Callable[[Path], None]) -> Callable[[Path], Path]:
    def build(place: Path) -> Path:
        target = _sample(name)(place)
        change(target)
        return target

    return build


def _edited(name: str, change: Callable[[Any], None]) -> Callable[[Path], Path]:
    """A sample whose protobuf was changed through the real one."""

    def write(target: Path) -> None:
        from tensorflow.core.protobuf import saved_model_pb2

        path = target / "saved_model.pb"
        message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        change(message)
        path.write_bytes(message.SerializeToString())

    return _damaged(name, write)


def _two_graphs(message: Any) -> None:
    message.meta_graphs.add().CopyFrom(message.meta_graphs[0])
    message.meta_graphs[1].meta_info_def.tags[:] = ["train"]


def _strange_op(message: Any) -> None:
    node = message.meta_graphs[0].graph_def.node.add()
    node.name, node.op = "strange", "AcmeFancyTanh"


def _later(message: Any) -> None:
    message.meta_graphs[0].graph_def.versions.min_consumer = 99_000


def _flip(name: str, at: int) -> Callable[[Path], None]:
    def change(target: Path) -> None:
        path = target / name
        data = bytearray(path.read_bytes())
        data[at] ^= 16
        path.write_bytes(data)

    return change


def _halve(name: str) -> Callable[[Path], None]:
    def change(target: Path) -> None:
        path = target / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return change


def _module(call: Callable[[Any], Any], spec: Any) -> Callable[[Path], Path]:
    """A SavedModel with one function."""

    def build(place: Path) -> Path:
        class Model(tf.Module):  # type: ignore[name-defined]  # TensorFlow is not typed here
            @tf.function(input_signature=[spec])
            def __call__(self, x: Any) -> Any:
                return call(x)

        tf.saved_model.save(Model(), str(place / "model"))
        return place / "model"

    return build


def _signature_only(place: Path) -> Path:
    class Model(tf.Module):  # type: ignore[name-defined]  # TensorFlow is not typed here
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def run(self, x: Any) -> Any:
            return {"y": x * 2.0}

    model = Model()
    tf.saved_model.save(model, str(place / "model"), signatures={"serving_default": model.run})
    return place / "model"


def _keras_two_directory(place: Path) -> Path:
    import tf_keras

    model = tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.Dense(2)])
    model.save(place / "model", save_format="tf")
    return place / "model"


def _keras(library: str, name: str, compiled: bool = False) -> Callable[[Path], Path]:
    """One dense layer, or its weights alone, in a single file."""

    def build(place: Path) -> Path:
        import importlib

        keras = importlib.import_module(library)
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
        if compiled:
            model.compile("adam", "mse")
        model.save_weights(place / "w.weights.h5") if name == "weights" else model.save(place / name)
        if name != "weights":
            return place / name
        return (place / "w.weights.h5").rename(place / "model.h5")

    return build


def _file(name: str, inside: str) -> Callable[[Path], Path]:
    return lambda place: _sample(name)(place) / inside


_V3, _V2, _TEXT = _sample("tfhub-bert-v3"), _sample("tfhub-bert-v2-list"), tf.TensorSpec([None], tf.string, name="text")
_LENGTHS = _module(tf.strings.length, _TEXT)


@dataclass(frozen=True)
class Row:
    """One cause: how it is built, the rule that names it, the real words, and the look-alike."""

    rule: str
    build: Callable[[Path], Path]
    words: str
    like: Callable[[Path], Path]
    loader: str | None = None
    call: str | None = None
    stage: str = "load"
    severity: str = "error"
    like_options: dict[str, Any] = field(default_factory=dict)
    """What the attempt on the look-alike is asked, beside what the row is."""


ROWS: dict[str, Row] = {
    "R02 a hub module of TensorFlow 1": Row(
        "tfhub-v1-in-tf2", _sample("tfhub-bert-v1"), "'AutoTrackable' object is not callable", _V3, stage="call",
    ),
    "R02 its layer": Row(
        "tfhub-v1-in-tf2", _sample("tfhub-bert-v1"), "Unknown signature default in", _V3, loader="hub.KerasLayer",
    ),
    "R03 a SavedModel of TensorFlow 1": Row(
        "tensorflow-savedmodel-not-callable", _sample("tensorflow1-bert"), "'AutoTrackable' object is not callable",
        _signature_only, stage="call",
    ),
    "R04 several graphs": Row(
        "tensorflow-tags", _edited("tensorflow1-bert", _two_graphs), "requires a `tags=` argument",
        _sample("tfhub-bert-v1"), like_options={"loader": "hub.signature"},
    ),
    "R05 raw text": Row(
        "tfhub-text-input", _V3, "Could not find matching concrete function to call", _V3, call="string[1]",
        stage="call", like_options={"call": IDS},
    ),
    "R06 a dict for a list": Row(
        "tfhub-signature", _V2, "Could not find matching concrete function to call", _V3, call=IDS, stage="call",
        like_options={"call": IDS},
    ),
    "R06 a list for a dict": Row(
        "tfhub-signature", _V3, "Could not find matching concrete function to call", _V2,
        call=THREE, stage="call", like_options={"call": THREE},
    ),
    "R07 names of Hugging Face": Row(
        "tfhub-input-names", _V3, "'attention_mask': <tf.Tensor", _V3, stage="call",
        call='{"input_ids": "int32[2,6]", "attention_mask": "int32[2,6]", "token_type_ids": "int32[2,6]"}',
        like_options={"call": IDS},
    ),
    "R07 names of another signature": Row(
        "tfhub-input-names", _sample("tensorflow1-bert"), "missing a required argument: 'input_ids'",
        _sample("tensorflow1-bert"), loader="hub.signature", call=IDS, stage="call",
        like_options={"call": IDS.replace("input_word_ids", "input_ids").replace("input_type_ids", "segment_ids")},
    ),
    "R08 numpy's int64": Row(
        "tfhub-input-dtype", _V3, "dtype=int64", _V3, call=IDS.replace("int32", "int64"), stage="call",
        like_options={"call": IDS},
    ),
    "R08 no batch": Row(
        "tfhub-input-dtype", _V3, "shape=(6,)", _V3, call=IDS.replace("[2,6]", "[6]"), stage="call",
        like_options={"call": IDS},
    ),
    "R09 a dict for a text model": Row(
        "tfhub-text-structure", _LENGTHS, "Attempt to convert a value ({'text'", _LENGTHS, call='{"text": "string[1]"}',
        stage="call", like_options={"call": "string[1]"},
    ),
    "R09 a scalar for a text model": Row(
        "tfhub-text-structure", _LENGTHS, "Can not cast TensorSpec(shape=()", _LENGTHS, call="string[]", stage="call",
        like_options={"call": "string[3]"},
    ),
    "R10 ops of tensorflow_text": Row(
        "tensorflow-op-not-registered", _sample("tfhub-bert-preprocess"), "Op type not registered 'CaseFoldUTF8'",
        _LENGTHS,
    ),
    "R11 another op": Row(
        "tensorflow-op-not-registered", _edited("tensorflow1-bert", _strange_op),
        "Op type not registered 'AcmeFancyTanh'", _V3,
    ),
    "R11 a later release": Row(
        "tensorflow-newer-writer", _edited("tensorflow1-bert", _later),
        "GraphDef min consumer version 99000 above current version", _edited("tfhub-bert-v3", _later),
    ),
    "R12 no signature for the layer": Row(
        "tfhub-keraslayer-signature", _signature_only, "Signature name has to be specified for non-callable", _V3,
        loader="hub.KerasLayer", severity="info",
    ),
    "R14 a SavedModel for Keras 3": Row(
        "keras3-savedmodel", _keras_two_directory, "File format not supported: filepath=", _V3, loader="keras",
        severity="info", like_options={"loader": "hub.load"},
    ),
    "R15 no index": Row(
        "tensorflow-index-missing", _sample("tfhub-bert-index-missing"), "Failed to find any matching files for", _V3,
    ),
    "R15 a short shard": Row(
        "tensorflow-shard-truncated", _sample("tfhub-bert-shard-truncated"), "Read less bytes than requested", _V3,
    ),
    "R15 no shard": Row(
        "tensorflow-shard-missing",
        _damaged("tfhub-bert-v3", lambda path: (path / "variables/variables.data-00000-of-00001").unlink()),
        "variables.data-00000-of-00001; No such file or directory", _V3,
    ),
    "R15 a short index": Row(
        "tensorflow-index-damaged", _damaged("tfhub-bert-v3", _halve("variables/variables.index")), "not an sstable",
        _V3,
    ),
    "R16 a flipped bit in the index": Row(
        "tensorflow-checksum", _damaged("tfhub-bert-v3", _flip("variables/variables.index", 40)),
        "block checksum mismatch", _V3,
    ),
    "R17 an empty protobuf": Row(
        "file-empty-file", _sample("tfhub-bert-empty-pb"), "there are 0 MetaGraphs", _V3,
    ),
    "R17 a short protobuf": Row(
        "tensorflow-pb-damaged", _damaged("tfhub-bert-v3", _halve("saved_model.pb")), "Wire format was corrupt", _V3,
    ),
    "R18 no asset": Row(
        "tensorflow-asset-missing", _sample("tfhub-text-asset-missing"), "assets/vocab.txt; No such file", _V3,
    ),
    "R19 a checkpoint alone": Row(
        "tensorflow-checkpoint-no-model", _sample("google-bert-checkpoint"), "contains neither 'saved_model.pb' nor",
        _V3, loader="hub.load", severity="warning",
    ),
    "R21 a class of one's own": Row(
        "keras-custom-class", _file("keras-custom-layer", "model.h5"), "Unknown layer: 'Gate'",
        _keras("keras", "model.h5"),
    ),
    "R23 Keras 2 and Keras 3": Row(
        "keras-version-skew", _keras("tf_keras", "model.h5", compiled=True), "is not a KerasSaveable subclass",
        _keras("tf_keras", "model.h5"),
    ),
    "R23 weights alone": Row(
        "keras-weights-only", _keras("keras", "weights"), "No model config found in the file",
        _keras("keras", "model.keras"),
    ),
    "R24 a Python function": Row(
        "tensorflow-py-function",
        _module(lambda x: tf.py_function(lambda value: value + 1, [x], tf.float32), tf.TensorSpec([None], tf.float32)),
        "Could not find callback with key=pyfunc_",
        _module(lambda x: x + 1.0, tf.TensorSpec([None], tf.float32)), stage="call",
    ),
}  # fmt: skip
"""R01, R13, R20 and R22 have tests of their own below: they are about the environment, the network and consent."""


Answer = tuple["Triage", "LoadOutcome", "Triage"]


def _attempt(
    path: Path, loader: str | None, call: str | None, python: str | None = None, lines: list[str] | None = None
) -> Answer:
    """The prediction, the real attempt, and the diagnosis after it."""
    given = given_call.read(call) if call is not None else None

    async def run() -> Answer:
        [checkpoint] = checkpoints([str(path)])
        asked = Options(call=given, python=python)
        before = (await triage_all([checkpoint], asked)).triages[0]
        consent = any(item.rule == "tensorflow-py-function" for item in before.findings)
        options = LoadOptions(loader=loader, call=given, python=python, unpickle=consent)
        assert refusal(checkpoint, options) == ""
        told = (lambda line: lines.append(log_text(line))) if lines is not None else None
        outcome = await make_attempt(checkpoint, options, told).run()
        return before, outcome, await diagnose_after(checkpoint, before, outcome, asked)

    return asyncio.run(run())


@pytest.mark.parametrize("name", ROWS)
def test_a_cause_is_foretold_and_confirmed_by_the_real_load(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    before, outcome, after = _attempt(row.build(tmp_path), row.loader, row.call)
    assert {item.rule: item.severity for item in before.findings}.get(row.rule) == row.severity
    error = outcome.error or {}
    assert (outcome.outcome, outcome.stage) == ("failed", row.stage), outcome.words
    assert row.words in error["message"] + error["traceback"]
    assert agreement(before, outcome, row.loader)[1] in (True, None)
    [finding] = [item for item in after.findings if item.rule == row.rule]
    assert any(line.startswith("confirmed by the load attempt: ") for line in finding.evidence)


@cache
def _look_alike(build: Callable[[Path], Path], loader: str | None, call: str | None) -> Answer:
    """The answer about a look-alike, one for all rows that share it."""
    with tempfile.TemporaryDirectory() as place:
        return _attempt(build(Path(place)), loader, call)


@pytest.mark.parametrize("name", ROWS)
def test_a_look_alike_is_not_blamed_and_loads(name: str) -> None:
    row = ROWS[name]
    asked = {"loader": row.loader, "call": None, **row.like_options}
    before, outcome, _ = _look_alike(row.like, **asked)
    assert row.rule not in {item.rule for item in before.findings}
    assert outcome.outcome == "loaded", outcome.words
    assert agreement(before, outcome, asked["loader"])[1] in (True, None)


# the environment, the network, consent


def _python_without_setuptools(place: Path) -> str:
    """An interpreter with this environment's packages except setuptools, whose pkg_resources tensorflow-hub wants."""
    venv.create(place, symlinks=True)
    [packages] = place.glob("lib/python3*/site-packages")
    for path in Path(numpy.__file__).parent.parent.iterdir():
        if not path.name.startswith(("setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")):
            with contextlib.suppress(FileExistsError):
                (packages / path.name).symlink_to(path)
    return str(place / "bin" / "python")


def test_r01_setuptools_without_pkg_resources(tmp_path: Path) -> None:
    python = _python_without_setuptools(tmp_path / "env")
    done = subprocess.run([python, "-c", "import tensorflow_hub"], capture_output=True, text=True, check=False)
    assert "No module named 'pkg_resources'" in done.stderr
    assert next(rule for rule, _ in rules_in(done.stderr)) == "tfhub-pkg-resources"
    lines: list[str] = []
    before, outcome, _ = _attempt(_V3(tmp_path), None, None, python, lines)
    assert "tfhub-pkg-resources" in {item.rule for item in before.findings}
    assert outcome.outcome == "loaded", outcome.words
    assert any("pkg_resources is not here; tensorflow-hub got a stand-in for it" in line for line in lines)
    assert "tfhub-pkg-resources" not in {item.rule for item in _look_alike(_V3, None, None)[0].findings}


def test_r13_the_layer_in_a_model_of_keras_3(tmp_path: Path) -> None:
    import keras
    import tensorflow_hub as hub

    path = _V3(tmp_path)
    before, _, _ = _look_alike(_V3, None, None)
    assert {item.rule: item.severity for item in before.findings}["keras-hub-layer-not-instance"] == "info"
    with pytest.raises(ValueError, match=r"Only instances of `keras\.Layer` can be added") as raised:
        keras.Sequential([hub.KerasLayer(str(path))])
    assert rules_in(f"ValueError: {raised.value}")[0][0] == "keras-hub-layer-not-instance"
    [finding] = [item for item in before.findings if item.rule == "keras-hub-layer-not-instance"]
    scope: dict[str, Any] = {"keras": keras}
    exec(finding.fix[2].replace(str(before.checkpoint.root.absolute()), str(path)), scope)
    ids = {name: tf.ones([2, 6], tf.int32) for name in json.loads(IDS)}
    assert scope["layer"](ids)["pooled_output"].shape == (2, 8)


def test_r20_a_handle_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow_hub as hub

    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", _no_names)
    handle = "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/3"
    done = run("check", handle)
    assert done.returncode == 2
    assert "a dict of input_word_ids, input_mask, input_type_ids in, a dict out" in done.stderr
    with pytest.raises(URLError) as raised:
        hub.load(handle)
    assert rules_in(f"URLError: {raised.value}")[0][0] == "tfhub-handle"
    held = tmp_path / hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest()
    shutil.copytree(SAMPLES / "tfhub-bert-v3", held)
    assert run("check", "--files-only", handle).returncode == 0
    ids = {name: tf.ones([2, 6], tf.int32) for name in json.loads(IDS)}
    assert hub.load(handle)(ids)["pooled_output"].shape == (2, 8)


def _no_names(*arguments: Any, **keywords: Any) -> None:
    """The answer of a machine without a name server, at once."""
    raise gaierror(-3, "Temporary failure in name resolution")


def test_r22_a_lambda_is_refused_by_us_and_by_keras_3(tmp_path: Path) -> None:
    import keras

    path = _sample("keras-lambda")(tmp_path) / "model.keras"
    [checkpoint] = checkpoints([str(path)])
    before = asyncio.run(triage_all([checkpoint], Options(files_only=True))).triages[0]
    assert {item.rule for item in before.findings if item.severity == "error"} == {"keras-lambda-safe-mode"}
    assert "Lambda layers double" in refusal(checkpoint, LoadOptions())
    with pytest.raises(ValueError, match="Requested the deserialization of a `Lambda` layer") as raised:
        keras.models.load_model(path)
    assert rules_in(f"ValueError: {raised.value}")[0][0] == "keras-lambda-safe-mode"
    before, outcome, _ = _look_alike(_keras("keras", "model.keras"), None, None)
    assert "keras-lambda-safe-mode" not in {item.rule for item in before.findings}
    assert outcome.outcome == "loaded"


# what is told only by the loader's own words


def test_words_that_no_rule_foretold_are_explained_after_the_load(tmp_path: Path) -> None:
    """A cause that shows only at the load: the finding has the page's cause and fix, not `see the log`."""
    before, outcome, after = _attempt(_V3(tmp_path), "keras", None)
    assert outcome.outcome == "failed"
    [finding] = [item for item in after.findings if item.rule == "load-failed"]
    assert "keras3-savedmodel" in finding.evidence[1]
    assert finding.fix == (PAGES["keras3-savedmodel"].fix,)
    assert agreement(before, outcome, "keras") == ("fails", True)
