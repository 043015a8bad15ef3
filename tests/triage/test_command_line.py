from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.builders.checkpoints import raw_safetensors, write_config, write_safetensors
from tests.conftest import REPOSITORY, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loader


def run(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui", *arguments],
        capture_output=True, text=True, input=stdin, timeout=120, check=False, cwd=REPOSITORY, errors="surrogateescape",
    )  # fmt: skip


def answer(*arguments: str) -> tuple[int, Any]:
    done = run(*arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_check_exit_codes(tmp_path: Path) -> None:
    assert run("check", "--files-only", str(SAMPLES / "bert-ner")).returncode == 0
    assert run("check", "--files-only", str(SAMPLES / "bert-ner-truncated")).returncode == 1
    assert run("check", "--files-only", "--fail-on", "never", str(SAMPLES / "bert-ner-truncated")).returncode == 0
    assert run("check", str(tmp_path / "nowhere")).returncode == 2
    assert run("check").returncode == 2
    assert run("check", "--format", "nonsense", ".").returncode == 2


def test_check_json_has_the_contracts_keys() -> None:
    code, out = answer("check", str(SAMPLES / "bert-ner-labels"), str(SAMPLES / "torch-main-module"), "--json")
    assert code == 1
    assert out["schema"] == 1
    assert out["environment"]["packages"]["torch"]
    labels, pickled = out["checkpoints"]
    assert set(labels) >= {
        "path", "kind", "verdict", "basis", "model_class", "tensors", "parameters", "bytes", "findings",
    }  # fmt: skip
    assert (labels["verdict"], labels["basis"], labels["tensors"]) == ("fails", "loader", 39)
    assert set(labels["findings"][0]) >= {
        "rule", "severity", "title", "file", "evidence", "cause", "fix", "confidence",
    }  # fmt: skip
    assert pickled["safety"]["level"] == "needs_code"
    assert "__main__.Tagger" in pickled["safety"]["globals"]


def test_files_only_never_says_loads() -> None:
    _, out = answer("check", "--files-only", str(SAMPLES / "bert-ner"), "--json")
    assert out["checkpoints"][0]["verdict"] == "unknown"
    assert out["checkpoints"][0]["basis"] == "files"


@pytest.mark.parametrize("form", ["text", "markdown", "html", "sarif"])
def test_every_form_names_the_rule(form: str, tmp_path: Path) -> None:
    target = tmp_path / "report"
    done = run("check", "--files-only", "--format", form, "--output", str(target), str(SAMPLES / "bert-ner-truncated"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "safetensors-truncated" in target.read_text("utf-8").replace("\\", "")


def test_ten_failures_end_in_ten_lines_worst_first() -> None:
    broken = (
        "bert-dataparallel", "bert-distilbert-weights", "bert-ner-cased", "bert-ner-labels", "bert-ner-lfs-pointer",
        "bert-ner-shard-missing", "bert-ner-truncated", "bert-ner-unknown-type", "gguf-truncated", "torch-main-module",
    )  # fmt: skip
    done = run("check", *(str(SAMPLES / name) for name in (*broken, "bert-ner")))
    _, _, digest = done.stdout.partition("what to do first:\n")
    rows = [row.split() for row in digest.split("\n\n")[0].splitlines()]
    assert sorted(row[1].rpartition("/")[2] for row in rows) == sorted(broken)
    assert [row[0] for row in rows] == ["✗"] * 7 + ["!"] * 3


def test_expect_is_a_finding() -> None:
    _, out = answer("check", "--json", "--expect", "num_labels=7", str(SAMPLES / "bert-ner"))
    assert [item["rule"] for item in out["checkpoints"][0]["findings"]] == ["config-unexpected-value"]


def test_another_tokenizer_is_judged() -> None:
    other = str(SAMPLES / "bert-ner-tokenizer-larger")
    _, out = answer("check", "--json", "--tokenizer", other, str(SAMPLES / "bert-ner"))
    assert "tokenizer-len-gt-embed" in {item["rule"] for item in out["checkpoints"][0]["findings"]}


def test_inspect() -> None:
    code, out = answer("inspect", str(SAMPLES / "bert-ner"), "--json")
    assert code == 0
    assert len(out["tensors"]) == 39
    assert set(out["tensors"][0]) == {"name", "dtype", "shape", "file", "bytes"}
    code, out = answer("inspect", str(SAMPLES / "bert-ner-truncated"), "--json")
    assert code == 1
    assert out["problems"][0]["file"] == "model.safetensors"
    assert len(out["tensors"]) == 39


def test_compare() -> None:
    code, out = answer("compare", str(SAMPLES / "bert-ner"), "--json")
    assert code == 0
    assert (out["loads"], out["error"], out["matched"]) == (True, None, 39)
    assert out["candidates"][0] == {
        "class": "BertForTokenClassification", "matched": 1.0, "missing": 0, "unexpected": 0, "mismatched": 0,
    }  # fmt: skip
    code, out = answer("compare", str(SAMPLES / "bert-ner"), "--json", "--set", "num_labels=7")
    assert code == 1
    assert out["loads"] is False
    assert out["error"]["type"] == "RuntimeError"
    assert {"key": "classifier.weight", "checkpoint": [5, 16], "model": [7, 16]} in out["mismatched"]
    assert out["fields"] == [{"field": "num_labels", "config": 7, "weights": 5, "keys": 2}]
    code, out = answer("compare", str(SAMPLES / "bert-ner"), "--json", "--class", "BertForMaskedLM")
    assert code == 1
    assert out["loads"] is True
    assert "classifier.weight" in out["unexpected"]


def test_compare_without_transformers_says_so(tmp_path: Path) -> None:
    bare = shutil.which("python3", path="/usr/bin")
    if bare is None:
        pytest.skip("no second interpreter here")
    code, out = answer("compare", str(SAMPLES / "bert-ner"), "--json", "--python", bare)
    assert code == 1
    assert (out["source"], out["loads"]) == ("files", None)
    assert out["error"]["message"]


def test_memory() -> None:
    code, out = answer("memory", str(SAMPLES / "bert-ner"), "--json")
    assert code == 0
    assert out["verdict"] == "fits"
    assert set(out["ram"]) >= {
        "base_bytes", "load_peak_bytes", "run_bytes", "wants_bytes", "low_bytes", "high_bytes",
    }  # fmt: skip
    assert out["available"]["ram_bytes"] > 0


def test_load(tmp_path: Path) -> None:
    code, out = answer("load", str(SAMPLES / "bert-ner"), "--json", "--forward")
    assert code == 0
    assert (out["outcome"], out["error"], out["agrees"]) == ("loaded", None, True)
    assert out["forward"]["finite"] is True
    code, out = answer("load", str(SAMPLES / "bert-ner-labels"), "--json")
    assert code == 1
    assert (out["outcome"], out["error"]["type"], out["agrees"]) == ("failed", "RuntimeError", True)
    assert "Traceback" in out["error"]["traceback"]


def test_a_dangerous_pickle_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "evil.pkl"
    target.write_bytes(b"cos\nmkdir\n(S'" + str(tmp_path / "ran").encode() + b"'\ntR.")
    code, out = answer("load", str(target), "--json", "--unpickle", "--trust-this-file")
    assert (code, out["outcome"]) == (1, "refused")
    assert not (tmp_path / "ran").exists()


def test_a_load_times_out_and_is_limited() -> None:
    code, out = answer("load", str(SAMPLES / "bert-ner"), "--json", "--timeout", "0.3")
    assert (code, out["outcome"]) == (1, "timeout")
    code, out = answer("load", str(SAMPLES / "bert-ner"), "--json", "--memory-limit", "30MB")
    assert (code, out["outcome"]) == (1, "refused")
    assert "the limit is" in out["error"]["message"]


def test_explain() -> None:
    assert run("explain", "safetensors-truncated").returncode == 0
    assert run("explain", "nonsense").returncode == 1
    log = "_pickle.UnpicklingError: invalid load key, 'v'."
    done = run("explain", stdin=log)
    assert done.returncode == 0
    assert "lfs-pointer-pickle" in done.stdout
    assert run("explain", stdin="all is well").returncode == 1


def test_diff() -> None:
    code, out = answer("diff", str(SAMPLES / "bert-ner"), str(SAMPLES / "bert-ner-labels"), "--json")
    assert code == 1
    assert set(out["config"]) == {"id2label", "label2id"}
    assert run("diff", str(SAMPLES / "bert-ner"), str(SAMPLES / "bert-ner")).returncode == 0


def test_envs_and_samples(tmp_path: Path) -> None:
    code, out = answer("envs", "--json")
    assert code == 0
    assert out["environments"][0]["executable"]
    assert run("samples", str(tmp_path / "out")).returncode == 0
    assert (tmp_path / "out" / "bert-ner" / "config.json").exists()
    assert run("samples", str(tmp_path / "out")).returncode == 2


def test_the_largest_sample_is_judged_as_the_system_judges_it(tmp_path: Path) -> None:
    from tui.triage.samples import make_large

    place = make_large(tmp_path / "too-large")
    _, out = answer("check", str(place), "--json")
    [checkpoint] = out["checkpoints"]
    _, loaded = answer("load", str(place), "--json")
    assert loaded["outcome"] in ("failed", "loaded", "killed")
    assert (checkpoint["verdict"] == "fails") == (loaded["outcome"] != "loaded")


EVIL = "n\x1b]52;c;aGk=\x07\u202e[/b]"


@pytest.mark.parametrize(
    "command", [["check", "--files-only"], ["inspect"], ["memory"], ["check", "--files-only", "--json"]]
)
def test_no_output_acts_on_a_terminal(tmp_path: Path, command: list[str]) -> None:
    root = write_config(tmp_path / f"m{EVIL}".replace("/", ""), architectures=[EVIL], model_type=EVIL)
    write_safetensors(root / "model.safetensors", {EVIL: ("F32", (2,))}, b"tail")
    done = run(*command, str(root))
    for char in ("\x1b", "\x07", "\u202e", "\x9b"):
        assert char not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_odd_config_is_an_answer(tmp_path: Path) -> None:
    for index, text in enumerate(("[1]", "{", "", '{"architectures": 3}', '{"model_type": []}', "[" * 100_000)):
        root = tmp_path / str(index)
        root.mkdir()
        (root / "config.json").write_text(text, "utf-8")
        write_safetensors(root / "model.safetensors", {"w": ("F32", (2,))})
    done = run("check", str(tmp_path), "--json")
    assert "Traceback" not in done.stderr
    out = json.loads(done.stdout)
    assert [item["verdict"] for item in out["checkpoints"]].count("fails") == 6


def test_one_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        root = write_config(tmp_path / name)
        if name == "a":
            raw_safetensors(root / "model.safetensors", b"{", length=10**6)
        else:
            write_safetensors(root / "model.safetensors", {"w": ("F32", (2,))})
    _, out = answer("check", "--files-only", str(tmp_path), "--json")
    assert [len(item["findings"]) > 0 for item in out["checkpoints"]] == [True, False]


def test_absurd_numbers_are_not_tried() -> None:
    code, out = answer("compare", str(SAMPLES / "bert-ner"), "--json", "--set", "num_hidden_layers=1000000000000")
    assert code == 1
    assert (out["loads"], out["error"]["type"]) == (False, "NotTried")
    code, out = answer("compare", str(SAMPLES / "bert-ner"), "--json", "--set", "hidden_size=10000000000000")
    assert code == 1
    assert out["loads"] is False
    assert out["error"]["message"]


def test_a_safetensors_file_by_itself_loads() -> None:
    code, out = answer("load", str(SAMPLES / "bert-ner" / "model.safetensors"), "--json")
    assert (code, out["outcome"], out["agrees"]) == (0, "loaded", True)
    code, out = answer("load", str(SAMPLES / "bert-ner-truncated" / "model.safetensors"), "--json")
    assert (code, out["outcome"], out["error"]["type"], out["agrees"]) == (1, "failed", "SafetensorError", True)


def test_an_index_that_reaches_outside_never_loads(tmp_path: Path) -> None:
    for number, name in enumerate(("../../../../etc/passwd", "/etc/passwd", "", ".")):
        root = write_config(tmp_path / str(number))
        index = {"metadata": {}, "weight_map": {"a": name}}
        (root / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    _, out = answer("check", str(tmp_path), "--json")
    assert [item["verdict"] for item in out["checkpoints"]] == ["fails"] * 4


def test_architectures_of_any_type_are_an_answer(tmp_path: Path) -> None:
    for number, value in enumerate((3, [3], {"a": 1}, True)):
        root = write_config(tmp_path / str(number), architectures=value)
        write_safetensors(root / "model.safetensors", {"w": ("F32", (2,))})
    _, out = answer("check", str(tmp_path), "--json")
    assert {item["verdict"] for item in out["checkpoints"]} <= {"fails", "degraded"}


def test_statistics_of_a_tensor() -> None:
    path = str(SAMPLES / "bert-ner")
    code, out = answer("inspect", path, "--json", "--statistics", "classifier.weight")
    assert (code, out["statistics"]["elements"], sum(out["statistics"]["histogram"])) == (0, 80, 80)
    done = run("inspect", path, "--statistics", "classifier.weight")
    assert "histogram" in done.stdout
    assert run("inspect", path, "--statistics", "nothing").returncode == 2


def test_an_interrupted_verification_goes_on(tmp_path: Path) -> None:
    """The first run is ended by ctrl+c while it reads; the second says what it need not read again, the third none."""
    with (tmp_path / "large.npy").open("wb") as file:
        header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }" % (1 << 29)
        file.write(header.ljust(127) + b"\n")
        file.truncate(128 + (1 << 31))
    command = [sys.executable, "-m", "tui", "check", "--deep", "--files-only", str(tmp_path / "large.npy")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    first = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
    while psutil.Process(first.pid).io_counters().read_chars < 200 << 20:
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    records = list((tmp_path / "cache" / "ckptriage" / "deep").iterdir())
    assert len(records) == 1
    assert [item.name for item in tmp_path.iterdir()].count("large.npy") == len(list(tmp_path.iterdir())) - 1
    again = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert "goes on where an earlier run stopped" in again.stderr
    assert list((tmp_path / "cache" / "ckptriage" / "deep").iterdir()) == []
