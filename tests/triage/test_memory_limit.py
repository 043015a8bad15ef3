"""`load --memory-limit`: anonymous memory, refused below the prediction, enough a tenth above it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest

from tests.conftest import REPOSITORY, SAMPLES
from tui.cli.load import Size
from tui.core.assemble import read_directory
from tui.triage.load import LoadOptions, make_attempt

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loader
MB = 1_000_000


def run(command: str, path: Path, cache: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tui", command, str(path), "--json", *arguments],
        capture_output=True, text=True, check=False, cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return done.returncode, answer


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose file is larger than all the anonymous memory that its load takes: the weights stay views."""
    import torch
    import transformers

    place = tmp_path_factory.mktemp("large") / "model"
    config = transformers.LlamaConfig(
        hidden_size=2048, intermediate_size=5632, num_hidden_layers=4, num_attention_heads=16, vocab_size=100_000,
        max_position_embeddings=256,
    )  # fmt: skip
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.to_empty(device="cpu").save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_below_the_prediction_it_is_refused_with_the_figure(mapped: Path, cache: Path) -> None:
    _, made = run("memory", mapped, cache)
    peak = made["ram"]["load_peak_bytes"]
    assert made["base_source"] == "probed"
    code, answer = run("load", mapped, cache, "--memory-limit", str(peak - 1))
    assert (code, answer["outcome"]) == (1, "refused")
    assert f"{peak:,} bytes" in answer["error"]["message"]


def test_a_tenth_above_it_loads_though_the_file_is_larger_than_the_limit(mapped: Path, cache: Path) -> None:
    _, made = run("memory", mapped, cache)
    limit = made["ram"]["load_peak_bytes"] * 11 // 10
    assert (mapped / "model.safetensors").stat().st_size > limit
    code, answer = run("load", mapped, cache, "--memory-limit", str(limit))
    assert (code, answer["outcome"]) == (0, "loaded"), answer["error"]
    assert answer["peak_anonymous_bytes"] < limit


def test_a_cast_counts(mapped: Path, cache: Path) -> None:
    _, made = run("memory", mapped, cache, "--dtype", "float32")
    peak = made["ram"]["load_peak_bytes"]
    assert peak > 2 * (mapped / "model.safetensors").stat().st_size
    limit = peak * 11 // 10
    code, answer = run("load", mapped, cache, "--dtype", "float32", "--memory-limit", str(limit))
    assert (code, answer["outcome"]) == (0, "loaded"), answer["error"]
    assert abs(answer["peak_anonymous_bytes"] - peak) < 0.04 * peak
    code, answer = run("load", mapped, cache, "--dtype", "float32", "--memory-limit", "900MB")
    assert (code, answer["outcome"]) == (1, "refused")


async def test_a_load_that_takes_more_than_the_limit_is_ended() -> None:
    checkpoint = read_directory(SAMPLES / "bert-ner", "bert-ner")
    outcome = await make_attempt(checkpoint, LoadOptions(memory_limit=30 * MB)).run()
    assert outcome.outcome == "killed"
    assert "limit of 28.6 MiB" in outcome.words


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500 * MB), ("2GiB", 2 << 30), ("123456", 123456), ("1.5 gib", 3 << 29), ("800m", 800 * MB), ("7B", 7)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1e9", "5PB", "٣MB", "1.2.3", "9" * 400, "0x10", "NaN"])
def test_what_is_no_size_is_bad_usage(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size().convert(text, None, None)
