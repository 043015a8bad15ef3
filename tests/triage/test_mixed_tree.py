"""One tree with everything that people download: each entry has its kind, its size and its verdict."""

from __future__ import annotations

import json
import shutil
import sys
import types
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import torch
import torch.distributed.checkpoint as distributed
from safetensors.torch import save, save_file

from tests.builders.checkpoints import write_safetensors
from tests.builders.format_samples import fasttext
from tests.conftest import REPOSITORY, SAMPLES
from tui.core.diagnosis.evidence import Evidence
from tui.core.report.model import Triage, triage_of
from tui.core.scan import scan

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loader

EXPECTED = {
    # as hubs and trainers lay them out
    "cache/models--acme--bert/snapshots/" + "a" * 40: ("transformers", "unknown"),
    "cache/models--acme--begun": ("unknown", "unknown"),
    "clone": ("transformers", "fails"),
    "transformers": ("transformers", "unknown"),
    "sharded": ("transformers", "unknown"),
    "adapter": ("adapter", "fails"),
    "sentence": ("sentence_transformers", "unknown"),
    "pipeline": ("diffusers", "unknown"),
    "pipeline/unet": ("safetensors", "loads"),
    "trainer/checkpoint-5": ("transformers", "fails"),
    "zero": ("deepspeed", "unknown"),
    "zero/global_step10": ("deepspeed", "unknown"),
    "dcp": ("torch_distributed", "loads"),
    "lightning": ("lightning", "loads"),
    # single files, by their libraries
    "files/a.safetensors": ("safetensors", "loads"),
    "files/b.bin": ("torch", "loads"),
    "files/c.pt": ("torch", "loads"),
    "files/d.jit": ("torchscript", "unknown"),
    "files/e.pt2": ("torch_export", "unknown"),
    "files/f.gguf": ("gguf", "loads"),
    "files/g.onnx": ("onnx", "loads"),
    "files/h.npy": ("numpy", "loads"),
    "files/i.npz": ("numpy", "loads"),
    "files/j.joblib": ("pickle", "loads"),
    "files/k.msgpack": ("flax", "unknown"),
    "files/l.bin": ("fasttext", "unknown"),
    "files/m.pkl": ("torch", "fails"),
    # broken
    "files/n-cut.safetensors": ("safetensors", "fails"),
    "files/o-pointer.safetensors": ("safetensors", "fails"),
    "files/p-page.bin": ("torch", "fails"),
    "files/q-growing.safetensors.part": ("safetensors", "fails"),
    "files/r-dangling.safetensors": ("unknown", "fails"),
    # TensorFlow and Keras
    "tf/module": ("tensorflow_saved_model", "loads"),
    "tf/checkpoint": ("tensorflow_checkpoint", "loads"),
    "tf/keras": ("keras", "fails"),
    "tf/web": ("tfjs", "unknown"),
    "orbax": ("orbax", "unknown"),
    "net.mlpackage": ("coreml", "unknown"),
}


def _bert(target: Path) -> None:
    shutil.copytree(SAMPLES / "bert-ner", target)


def _layouts(root: Path) -> None:
    """Directories as hubs, trainers and their libraries lay them out."""
    revision = root / "cache" / "models--acme--bert" / "snapshots" / ("a" * 40)
    revision.mkdir(parents=True)
    blobs = root / "cache" / "models--acme--bert" / "blobs"
    blobs.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(SAMPLES / "bert-model-only" / name, blobs / name.encode().hex())
        (revision / name).symlink_to(f"../../blobs/{name.encode().hex()}")
    begun = root / "cache" / "models--acme--begun" / "blobs"
    begun.mkdir(parents=True)
    (begun / ("f" * 64 + ".incomplete")).write_bytes(bytes(100))
    for name, sample in (
        ("clone", "bert-ner-lfs-pointer"),
        ("sharded", "bert-ner-sharded"),
        ("adapter", "adapter-wrong-rank"),
        ("trainer/checkpoint-5", "trainer-cut"),
    ):
        shutil.copytree(SAMPLES / sample, root / name)
    _bert(root / "transformers")
    _bert(root / "sentence")
    (root / "sentence" / "1_Pooling").mkdir()
    (root / "sentence" / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 16}', "utf-8")
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (root / "sentence" / "modules.json").write_text(json.dumps(modules), "utf-8")
    (root / "sentence" / "config_sentence_transformers.json").write_text("{}", "utf-8")
    unet = root / "pipeline" / "unet"
    unet.mkdir(parents=True)
    (root / "pipeline" / "model_index.json").write_text(
        json.dumps({"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"]}), "utf-8"
    )
    (unet / "config.json").write_text('{"_class_name": "UNet2DModel"}', "utf-8")
    write_safetensors(unet / "diffusion_pytorch_model.safetensors", {"w": ("F32", (2,))})
    step = root / "zero" / "global_step10"
    step.mkdir(parents=True)
    for rank in (0, 1):
        torch.save({"optimizer_state_dict": {}}, step / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt")
    torch.save({"module": {}}, step / "mp_rank_00_model_states.pt")
    (root / "zero" / "zero_to_fp32.py").write_text("", "utf-8")
    (root / "zero" / "latest").write_text("global_step10", "utf-8")
    distributed.save({"w": torch.ones(4)}, checkpoint_id=str(root / "dcp"), no_dist=True)
    (root / "lightning").mkdir()
    state = {"pytorch-lightning_version": "2.5.0", "state_dict": {"w": torch.ones(2)}, "epoch": 1}
    torch.save(state, root / "lightning" / "last.ckpt")


def _files(root: Path) -> None:
    """Files by the libraries of their formats."""
    gguf, onnx = pytest.importorskip("gguf"), pytest.importorskip("onnx")
    joblib, msgpack = pytest.importorskip("joblib"), pytest.importorskip("msgpack")
    root.mkdir()
    weight = torch.arange(32.0).reshape(4, 8)
    save_file({"w": weight}, root / "a.safetensors")
    torch.save({"w": weight}, root / "b.bin")
    torch.save({"w": weight}, root / "c.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.trace(torch.nn.Linear(4, 2), torch.ones(1, 4)), root / "d.jit")
    torch.export.save(torch.export.export(torch.nn.Linear(4, 2), (torch.ones(1, 4),)), root / "e.pt2")
    writer = gguf.GGUFWriter(root / "f.gguf", "llama")
    writer.add_tensor("output_norm.weight", weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    value = onnx.helper.make_tensor_value_info
    held = onnx.numpy_helper.from_array(numpy.ones((4, 2), "f4"), "W")
    node = onnx.helper.make_node("MatMul", ["x", "W"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value("x", 1, [1, 4])], [value("y", 1, [1, 2])], [held])
    onnx.save(onnx.helper.make_model(graph), root / "g.onnx")
    numpy.save(root / "h.npy", weight.numpy())
    numpy.savez(root / "i.npz", w=weight.numpy())
    joblib.dump({"w": weight.numpy()}, root / "j.joblib")
    array = msgpack.ExtType(1, msgpack.packb(((2,), "float32", bytes(8)), use_bin_type=True))
    (root / "k.msgpack").write_bytes(msgpack.packb({"params": {"w": array}}))
    (root / "l.bin").write_bytes(fasttext(1, 1))
    module = types.ModuleType("somebodys")
    module.Net = type("Net", (), {"__module__": "somebodys"})  # type: ignore[attr-defined]
    sys.modules["somebodys"] = module
    try:
        torch.save(module.Net(), root / "m.pkl")
    finally:
        del sys.modules["somebodys"]


def _broken(root: Path) -> None:
    """Files cut short, not fetched, of another kind, and leading nowhere."""
    whole = save({"w": torch.randn(100, 100)})
    (root / "n-cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (root / "o-pointer.safetensors").write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1234\n", "utf-8"
    )
    (root / "p-page.bin").write_text("<!DOCTYPE html><html><body>404</body></html>", "utf-8")
    (root / "q-growing.safetensors.part").write_bytes(whole[:9000])
    (root / "r-dangling.safetensors").symlink_to("nowhere")


def _tensorflow(root: Path) -> None:
    shutil.copytree(SAMPLES / "tfhub-bert-v3", root / "module")
    shutil.copytree(SAMPLES / "google-bert-checkpoint", root / "checkpoint")
    shutil.copytree(SAMPLES / "keras-lambda", root / "keras")
    web = root / "web"
    web.mkdir()
    manifest = {"paths": ["group1-shard1of1.bin"], "weights": [{"name": "w", "shape": [2], "dtype": "float32"}]}
    (web / "model.json").write_text(
        json.dumps({"format": "layers-model", "modelTopology": {}, "weightsManifest": [manifest]}), "utf-8"
    )
    (web / "group1-shard1of1.bin").write_bytes(bytes(8))


def _triages(root: Path) -> dict[str, Triage]:
    return {row.path: triage_of(Evidence(row.read())) for row in scan(root, ".")}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    _layouts(tmp_path)
    _files(tmp_path / "files")
    _broken(tmp_path / "files")
    _tensorflow(tmp_path / "tf")
    shutil.copytree(REPOSITORY / "tests" / "data" / "orbax" / "pytree", tmp_path / "orbax")
    shutil.copytree(REPOSITORY / "tests" / "data" / "coreml" / "net.mlpackage", tmp_path / "net.mlpackage")
    return tmp_path


def test_every_entry_has_its_kind_size_and_verdict(tree: Path) -> None:
    found = _triages(tree)
    assert {path: (item.checkpoint.kind, item.verdict) for path, item in found.items()} == EXPECTED
    sizeless = {"cache/models--acme--begun", "files/r-dangling.safetensors"}
    for path, item in found.items():
        held: Any = item.checkpoint
        assert held.bytes > 0 or path in sizeless or held.layout is not None, path
        assert item.verdict != "fails" or item.findings, path
    total = sum(file.stat().st_size for file in (tree / "files").iterdir() if file.is_file())
    listed = sum(item.checkpoint.bytes for path, item in found.items() if path.startswith("files/"))
    assert listed == total
