"""A class of the user's own: built in the cage, compared in `load_state_dict`'s words, then really loaded."""

from __future__ import annotations

import importlib.util
import re
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.triage.test_command_line import answer, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loader

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 3)

class Changed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 5)
        self.extra = nn.Linear(1, 1)

def factory():
    return Net()

def nothing():
    return 3

def spy():
    open(SECRET).read()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    secret = tmp_path / "secret.txt"
    secret.write_text("mine", "utf-8")
    code = tmp_path / "code"
    code.mkdir()
    (code / "net.py").write_text(textwrap.dedent(SOURCE) + f"\nSECRET = {str(secret)!r}\n", "utf-8")
    return code


def module(project: Path) -> Any:
    spec = importlib.util.spec_from_file_location("net", project / "net.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def saved(project: Path, kind: str) -> Path:
    state = module(project).Net().state_dict()
    path = project.parent / f"{kind}.pt"
    if kind == "plain":
        torch.save(state, path)
    elif kind == "parallel":
        torch.save({f"module.{key}": value for key, value in state.items()}, path)
    elif kind == "lightning":
        held = {f"model.{key}": value for key, value in state.items()}
        torch.save({"state_dict": held, "pytorch-lightning_version": "2.5", "epoch": 1}, path)
    else:
        torch.save({"model_state_dict": state, "optimizer_state_dict": {"state": {}, "param_groups": []}}, path)
    return path


@pytest.mark.parametrize("kind", ["plain", "training"])
def test_the_class_that_saved_it_matches(project: Path, kind: str) -> None:
    path = saved(project, kind)
    code, out = answer("compare", str(path), "--class", "net:factory", "--code", str(project), "--json")
    assert (code, out["loads"], out["matched"]) == (0, True, 4)
    code, loaded = answer("load", str(path), "--class", "net:Net", "--code", str(project), "--json")
    assert (code, loaded["outcome"]) == (0, "loaded")


def test_a_class_that_changed_is_told_in_load_state_dicts_words(project: Path) -> None:
    path = saved(project, "plain")
    with pytest.raises(RuntimeError) as raised:
        module(project).Changed().load_state_dict(torch.load(path))
    code, out = answer("compare", str(path), "--class", "net:Changed", "--code", str(project), "--json")
    assert (code, out["loads"]) == (1, False)
    assert out["error"] == {"type": "RuntimeError", "message": str(raised.value)}
    assert out["missing"] == ["extra.bias", "extra.weight"]
    assert [(item["key"], item["checkpoint"], item["model"]) for item in out["mismatched"]] == [
        ("head.bias", [3], [5]),
        ("head.weight", [3, 8], [5, 8]),
    ]
    code, loaded = answer("load", str(path), "--class", "net:Changed", "--code", str(project), "--json")
    assert (code, loaded["outcome"], loaded["error"]["message"]) == (1, "failed", str(raised.value))


@pytest.mark.parametrize(("kind", "prefix"), [("parallel", "module."), ("lightning", "model.")])
def test_the_prefix_that_is_too_much_is_named(project: Path, kind: str, prefix: str) -> None:
    done = run("compare", str(saved(project, kind)), "--class", "net:Net", "--code", str(project))
    assert done.returncode == 1
    assert re.search(rf"with '{re.escape(prefix)}' taken off every name, 0 differences are left", done.stdout)


@pytest.mark.parametrize(
    ("target", "kind", "words"),
    [
        ("net:Absent", "AttributeError", "has no attribute 'Absent'"),
        ("nowhere:Net", "ModuleNotFoundError", "No module named 'nowhere'"),
        ("net:nothing", "TypeError", "no torch.nn.Module"),
        ("net:spy", "PermissionError", "Permission denied"),
    ],
)
def test_code_that_fails_is_an_answer(project: Path, target: str, kind: str, words: str) -> None:
    code, out = answer("compare", str(saved(project, "plain")), "--class", target, "--code", str(project), "--json")
    assert (code, out["loads"], out["error"]["type"]) == (1, False, kind)
    assert words in out["error"]["message"]


def test_half_of_the_pair_is_bad_usage(project: Path) -> None:
    path = str(saved(project, "plain"))
    assert run("compare", path, "--class", "net:Net").returncode == 2
    assert run("compare", path, "--code", str(project)).returncode == 2
    assert run("load", path, "--class", "net:Net", "--code", str(project / "nowhere")).returncode == 2


def test_consent_does_not_reach_further_for_a_class_of_ones_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle that would do harm stays refused, and code runs only where the child is shut off."""
    import pickle

    from tui.core.assemble import read_one_file
    from tui.triage import load as loading
    from tui.triage.load import LoadOptions, refusal, request_for

    class Harm:
        def __reduce__(self) -> Any:
            import os

            return os.system, ("true",)

    path = project.parent / "harm.pt"
    path.write_bytes(pickle.dumps({"weight": Harm()}))
    harm, plain = read_one_file(path, str(path)), saved(project, "plain")
    options = LoadOptions(model_class="net:Net", code=str(project), unpickle=True)
    assert "dangerous" in refusal(harm, options)
    checkpoint = read_one_file(plain, str(plain))
    options = LoadOptions(model_class="net:Net", code=str(project))
    assert refusal(checkpoint, options) == ""
    assert request_for(checkpoint, options)["must_isolate"] is True
    monkeypatch.setattr(loading, "can_isolate", lambda: False)
    assert "--trust-this-file" in refusal(checkpoint, options)
