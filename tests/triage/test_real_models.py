from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.real_models import LPIPS, PESTO, RXNMAPPER, directory_of, unpacked
from tests.triage.test_command_line import answer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loader


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def albert(place: Path) -> Path:
    return directory_of(unpacked(RXNMAPPER, place), "pytorch_model.bin")


CLASSES = {
    "AlbertModel": (0, 7, "predictions."),
    "AlbertForMaskedLM": (0, 2, "albert.pooler."),
    "AlbertForTokenClassification": (2, 9, ""),
}


@pytest.mark.parametrize("name", CLASSES)
def test_rxnmapper_compares_as_it_loads(albert: Path, name: str) -> None:
    missing, unexpected, stem = CLASSES[name]
    _, compared = answer("compare", str(albert), "--class", name, "--json")
    _, loaded = answer("load", str(albert), "--class", name, "--json")
    for out in (compared, loaded):
        assert len(out["missing"]) == missing
        assert len(out["unexpected"]) == unexpected
        assert all(key.startswith(stem) for key in out["unexpected"])
    assert compared["missing"] == loaded["missing"]
    assert compared["unexpected"] == loaded["unexpected"]
    assert (compared["loads"], loaded["outcome"], loaded["agrees"]) == (True, "loaded", True)


def test_rxnmapper_is_degraded_by_its_tokenizer(albert: Path) -> None:
    code, out = answer("check", str(albert), "--json")
    [checkpoint] = out["checkpoints"]
    assert code == 0
    assert checkpoint["verdict"] == "degraded"
    assert "tokenizer-files-missing" in {item["rule"] for item in checkpoint["findings"]}
    assert "5 tokens instead of 591" in json.dumps(checkpoint)


def _tensors(root: Path, file: str) -> tuple[Any, Any]:
    import torch

    path = next(root.rglob(file))
    _, out = answer("inspect", str(path), "--json")
    return out, torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize("file", ["alex.pth", "squeeze.pth", "vgg.pth"])
def test_lpips_legacy_files_are_read_whole(place: Path, file: str) -> None:
    out, loaded = _tensors(unpacked(LPIPS, place), file)
    assert {item["name"]: item["shape"] for item in out["tensors"]} == {
        name: list(value.shape) for name, value in loaded.items()
    }
    assert out["kind"] == "torch"


def test_a_lightning_checkpoint_that_needs_omegaconf(place: Path) -> None:
    root = unpacked(PESTO, place)
    _, out = answer("check", str(next(root.rglob("mir-1k_g7.ckpt"))), "--json")
    [checkpoint] = out["checkpoints"]
    assert (checkpoint["kind"], checkpoint["verdict"]) == ("lightning", "fails")
    assert checkpoint["findings"][0]["rule"] in ("pickle-module-missing", "pickle-weights-only")
    _, out = answer("check", str(next(root.rglob("mir-1k.ckpt"))), "--json")
    assert out["checkpoints"][0]["verdict"] == "loads"
