from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tui.core.assemble import read_one_file
from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.messages import rules_in
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import Checkpoint

h5py = pytest.importorskip("h5py")
np = pytest.importorskip("numpy")


def _file(path: Path) -> Checkpoint:
    return read_one_file(path, str(path))


def _write(path: Path, groups: int = 100, **options: Any) -> dict[str, Any]:
    """A file of many groups; returns (shape, offset) of each dataset as h5py sees them."""
    with h5py.File(path, "w", **options) as file:
        file.attrs["model_config"] = "x" * 100_000 if not options else "y" * 50
        file.attrs["layer_names"] = [b"a", b"bb"]
        for number in range(groups):
            group = file.create_group(f"g{number}")
            group.create_dataset("kernel:0", data=np.ones((3, number + 1), "f"))
        file["half"] = np.arange(4, dtype="f2")
        file["flags"] = np.array([True])
        file["words"] = ["a", "b"]
        file.create_dataset("chunked", data=np.ones((100, 100)), chunks=(10, 10), compression="gzip")
    want: dict[str, Any] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            want[name] = (item.shape, item.id.get_offset())

    with h5py.File(path) as file:
        file.visititems(note)
    return want


@pytest.mark.parametrize("options", [{}, {"libver": "latest"}, {"track_order": True}, {"libver": "v110"}])
def test_every_dataset_is_where_h5py_has_it(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "x.h5"
    want = _write(path, **options)
    checkpoint = _file(path)
    assert checkpoint.kind == "keras"
    assert not checkpoint.all_problems()
    assert {tensor.name: (tensor.shape, tensor.offset) for tensor in checkpoint.tensors} == want
    dtypes = {tensor.name: tensor.dtype for tensor in checkpoint.tensors}
    assert (dtypes["half"], dtypes["flags"], dtypes["words"], dtypes["chunked"]) == ("F16", "BOOL", "STRING", "F64")


def test_what_leads_out_of_the_file_is_never_followed(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["inside"] = np.zeros(3, "f")
        file["soft"] = h5py.SoftLink("/soft")
        file["out"] = h5py.ExternalLink("/etc/passwd", "/")
        file.create_dataset("raw", (4,), dtype="f4", external=[("/etc/passwd", 0, 16)])
        layout = h5py.VirtualLayout((3,), "f")
        layout[:] = h5py.VirtualSource("/elsewhere.h5", "x", (3,))
        file.create_virtual_dataset("virtual", layout)
        file["loop"] = file["/"]
    checkpoint = _file(path)
    [problem] = checkpoint.all_problems()
    assert problem.code == "hdf5-outside"
    assert not problem.fatal
    for name in ("raw", "virtual", "soft", "/etc/passwd"):
        assert name in " ".join(problem.detail)
    assert {tensor.name for tensor in checkpoint.tensors} == {"inside", "raw", "virtual"}
    assert [tensor.offset for tensor in checkpoint.tensors if tensor.name in ("raw", "virtual")] == [None, None]


def test_a_huge_attribute_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
        file["x"] = np.zeros(3, "f")
    data = path.read_bytes()
    at = data.index(b"GCOL") + 8
    path.write_bytes(data[:at] + (1 << 40).to_bytes(8, "little") + data[at + 8 :])
    assert {problem.code for problem in _file(path).all_problems()} == {"hdf5-damaged"}


def test_groups_that_share_one_tree_are_not_walked_for_each(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for number in range(2500):
            file.create_group(f"g{number}")
        shared = file.create_group("shared")
        for number in range(2500):
            shared.create_group(f"inner{number}")
        header = h5py.h5o.get_info(shared.id).addr
        others = [h5py.h5o.get_info(file[f"g{number}"].id).addr for number in range(2500)]
    data = bytearray(path.read_bytes())
    at = header + 16
    tree = bytes(data[at + 8 : at + 24])
    for other in others:
        data[other + 24 : other + 40] = tree
    path.write_bytes(data)
    [problem] = _file(path).all_problems()
    assert problem.code == "hdf5-damaged"
    assert "more often than is followed" in problem.message


def test_a_file_cut_short_is_found_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(300, "f")
    data = path.read_bytes()
    for size in (*range(8, 200, 7), len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert {problem.code for problem in _file(path).all_problems()} == {"hdf5-truncated"}, size
        with pytest.raises(OSError, match="Unable to synchronously open file"):
            h5py.File(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models with a layer of one's own, a Lambda and an LSTM, as Keras 2 and Keras 3 save them."""
    keras, tf_keras = pytest.importorskip("keras"), pytest.importorskip("tf_keras")
    root = tmp_path_factory.mktemp("keras")
    for library, name in ((keras, "k3"), (tf_keras, "k2")):

        class Scale(library.layers.Layer):  # type: ignore[name-defined]  # TensorFlow is not typed here
            def call(self, x: Any) -> Any:
                return x * 2

        def model(*extra: Any, library: Any = library) -> Any:
            layers = library.layers
            made = library.Sequential([layers.Input((4,)), layers.Dense(3, name="d1"), *extra, layers.Dense(2)])
            made.compile("adam", "mse")
            made.fit(np.zeros((2, 4)), np.zeros((2, 2)), verbose=0)
            return made

        for end in ("h5", "keras"):
            model().save(root / f"{name}.{end}")
            model(Scale()).save(root / f"{name}_custom.{end}")
            model(library.layers.Lambda(lambda x: x + 1)).save(root / f"{name}_lambda.{end}")
            lstm = library.Sequential([library.layers.Input((4, 3)), library.layers.LSTM(3)])
            lstm.save(root / f"{name}_lstm.{end}")
        model().save_weights(root / f"{name}.weights.h5")
    return root


@pytest.mark.loader
@pytest.mark.parametrize("name", ["k2.h5", "k3.h5", "k2.keras", "k3.keras"])
def test_a_whole_model_is_described(models: Path, name: str) -> None:
    checkpoint = _file(models / name)
    assert checkpoint.kind == "keras"
    assert not checkpoint.all_problems()
    metadata = checkpoint.files[0].metadata
    assert metadata["form"] == "model"
    assert metadata["model_class"] == "Sequential"
    assert metadata["keras_version"].startswith(name[1])
    assert [layer["class"] for layer in metadata["layers"]] == ["Sequential", "InputLayer", "Dense", "Dense"]
    assert metadata["custom"] == metadata["lambdas"] == []
    assert metadata["compiled"] is True
    weights = [tensor for tensor in checkpoint.tensors if tensor.role == "" and len(tensor.shape) == 2]
    assert sorted(tensor.shape for tensor in weights) == [(3, 2), (4, 3)]
    assert sum(tensor.role == "optimizer" for tensor in checkpoint.tensors) >= 9
    assert checkpoint.parameters == 4 * 3 + 3 + 3 * 2 + 2


@pytest.mark.loader
def test_the_weights_of_an_archive_lie_where_the_reader_says(models: Path) -> None:
    import keras

    path = models / "k3.keras"
    kernel = keras.models.load_model(path).layers[0].kernel.numpy()
    [tensor] = [item for item in _file(path).tensors if item.shape == (4, 3) and item.role == ""]
    assert tensor.offset is not None
    assert path.read_bytes()[tensor.offset : tensor.offset + tensor.nbytes] == kernel.tobytes()


@pytest.mark.loader
@pytest.mark.parametrize("library", ["k2", "k3"])
@pytest.mark.parametrize("end", ["h5", "keras"])
def test_code_and_classes_of_ones_own_are_seen(models: Path, library: str, end: str) -> None:
    metadata = _file(models / f"{library}_custom.{end}").files[0].metadata
    assert (metadata["custom"], metadata["lambdas"]) == (["Scale"], [])
    metadata = _file(models / f"{library}_lambda.{end}").files[0].metadata
    assert (metadata["custom"], len(metadata["lambdas"])) == ([], 1)
    metadata = _file(models / f"{library}_lstm.{end}").files[0].metadata
    assert metadata["time_major"] is (library == "k2")


@pytest.mark.loader
def test_weights_alone_are_told_from_a_model(models: Path) -> None:
    assert _file(models / "k3.weights.h5").files[0].metadata["form"] == "weights"
    assert _file(models / "k2.weights.h5").files[0].metadata["form"] == "weights"


@pytest.mark.loader
def test_an_archive_cut_short_is_found(models: Path, tmp_path: Path) -> None:
    import keras

    path = tmp_path / "x.keras"
    path.write_bytes((models / "k3.keras").read_bytes()[:-30])
    [problem] = _file(path).all_problems()
    assert problem.code == "keras-archive-damaged"
    assert problem.loader_error is not None
    with pytest.raises(ValueError) as raised:
        keras.models.load_model(path)
    assert str(raised.value).startswith(problem.loader_error[1])


def _load(library: Any, path: Path) -> Exception | None:
    try:
        library.models.load_model(path)
    except Exception as error:
        return error
    return None


KERAS_3 = {
    "k2.h5": "keras-version-skew", "k3.h5": "keras-version-skew", "k2.keras": "", "k3.keras": "",
    "k2_custom.h5": "keras-custom-class", "k3_custom.h5": "keras-custom-class",
    "k2_custom.keras": "keras-custom-class", "k3_custom.keras": "keras-custom-class",
    "k2_lambda.h5": "keras-lambda-safe-mode", "k3_lambda.h5": "keras-lambda-safe-mode",
    "k2_lambda.keras": "keras-lambda-safe-mode", "k3_lambda.keras": "keras-lambda-safe-mode",
    "k2_lstm.h5": "keras-version-skew", "k2_lstm.keras": "keras-version-skew", "k3_lstm.h5": "", "k3_lstm.keras": "",
}  # fmt: skip
"""By file the rule of its error, empty where Keras 3 loads it."""


@pytest.mark.loader
@pytest.mark.parametrize("name", KERAS_3)
def test_the_verdict_is_that_of_keras_3(models: Path, name: str) -> None:
    import keras

    rule = KERAS_3[name]
    triage = triage_of(Evidence(_file(models / name)))
    errors = {item.rule for item in triage.findings if item.severity == "error"}
    error = _load(keras, models / name)
    assert errors == ({rule} if rule else set())
    assert (triage.verdict == "loads") is (error is None)
    if error is not None and name != "k2_lambda.keras":  # whose words are those of the keyword that is refused first
        assert rules_in(f"{type(error).__name__}: {error}")[0][0] == rule


LOSSES = ("mse", "mean_squared_error", "mae", "binary_crossentropy", "hinge")


@pytest.mark.loader
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_losses_by_name_are_judged_as_keras_3_judges_them(tmp_path: Path, loss: str, library: str) -> None:
    import importlib

    import keras

    source = importlib.import_module(library)
    model = source.Sequential([source.layers.Input((4,)), source.layers.Dense(1)])
    model.compile("adam", loss)
    path = tmp_path / "model.h5"
    model.save(path)
    triage = triage_of(Evidence(_file(path)))
    assert (triage.verdict == "loads") is (_load(keras, path) is None)


@pytest.mark.loader
def test_the_first_fix_of_a_skewed_file_loads_it(models: Path) -> None:
    [finding] = triage_of(Evidence(_file(models / "k2.h5"))).findings
    assert "compile=False" in finding.fix[0]
    for program in finding.fix:
        scope: dict[str, Any] = {}
        exec(program, scope)
        assert scope["model"].count_params() == 23


@pytest.mark.loader
@pytest.mark.parametrize("name", ["plain.h5", "named.weights.h5"])
def test_weights_alone_are_no_model(models: Path, tmp_path: Path, name: str) -> None:
    import keras

    path = tmp_path / name
    path.write_bytes((models / "k3.weights.h5").read_bytes())
    triage = triage_of(Evidence(_file(path)))
    assert {item.rule: item.severity for item in triage.findings} == {
        "keras-weights-only": "info" if "weights" in name else "error"
    }
    assert "No model config found in the file" in str(_load(keras, path))


@pytest.mark.loader
def test_another_format_under_the_name_of_hdf5(models: Path, tmp_path: Path) -> None:
    import keras

    path = tmp_path / "model.h5"
    path.write_bytes((models / "k3.keras").read_bytes())
    assert "hdf5-no-signature" in {item.rule for item in triage_of(Evidence(_file(path))).findings}
    assert "file signature not found" in str(_load(keras, path))


@pytest.mark.loader
def test_a_hub_layer_inside(tmp_path: Path) -> None:
    import keras
    import tensorflow_hub as hub
    import tf_keras

    from tests.conftest import SAMPLES

    layers = tf_keras.layers
    names = ("input_word_ids", "input_mask", "input_type_ids")
    inputs = {name: layers.Input((None,), dtype="int32", name=name) for name in names}
    pooled = hub.KerasLayer(str(SAMPLES / "tfhub-bert-v3"))(inputs)["pooled_output"]
    tf_keras.Model(inputs, layers.Dense(2)(pooled)).save(tmp_path / "model.h5")
    [finding] = triage_of(Evidence(_file(tmp_path / "model.h5"))).findings
    assert finding.rule == "keras-hub-h5"
    assert "tfhub-bert-v3" in finding.evidence[0]
    error = _load(keras, tmp_path / "model.h5")
    assert error is not None
    assert rules_in(f"{type(error).__name__}: {error}")[0][0] == "keras-hub-h5"
    scope: dict[str, Any] = {}
    exec(finding.fix[0], scope)
    assert scope["model"].count_params() > 0
