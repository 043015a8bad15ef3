from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import SAMPLES
from tests.core.estimate.test_weights import model
from tui.core.assemble import read_directory
from tui.core.estimate import Available, Base, Device, Estimate, Holder, Place, estimate, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders.checkpoints import Tensors

GIB = 1 << 30
PROBED = Base(259_000_000, 86_000_000, "probed")


def judged(ram: int | None, **more: Any) -> Estimate:
    checkpoint = read_directory(SAMPLES / "bert-ner", "bert-ner")
    return estimate(checkpoint, Available(**{"ram": ram, "ram_total": ram, "base": PROBED, **more}), "auto")


def test_verdicts_follow_what_is_free() -> None:
    assert (judged(8 * GIB).verdict, judged(8 * GIB).shortfall) == ("fits", 0)
    assert judged(320_000_000).verdict == "fits_slowly"
    assert judged(270_000_000).verdict == "tight"
    short = judged(100_000_000)
    assert short.verdict == "exceeds"
    assert short.must is not None
    assert short.shortfall == short.must - 100_000_000
    assert judged(8 * GIB, mappable=10_000).verdict == "refused"
    assert judged(None).verdict == "unknown"


def test_an_assumed_base_widens_the_band() -> None:
    assumed, probed = judged(8 * GIB, base=Base()), judged(8 * GIB)
    assert assumed.high is not None
    assert probed.high is not None
    assert assumed.high > probed.high + 100_000_000
    assert (assumed.base_source, probed.base_source) == ("assumed", "probed")


def test_a_cast_is_anonymous_memory() -> None:
    checkpoint = read_directory(SAMPLES / "bert-ner", "bert-ner")
    plain = estimate(checkpoint, Available(ram=GIB), "auto")
    cast = estimate(checkpoint, Available(ram=GIB), "bfloat16")
    assert plain.load_peak is not None
    assert cast.load_peak is not None
    assert cast.load_peak - plain.load_peak == checkpoint.tensor_bytes // 2
    assert cast.weights == checkpoint.tensor_bytes // 2


def test_a_file_on_a_tmpfs_wants_nothing_more() -> None:
    on_disk, in_memory = judged(8 * GIB), judged(8 * GIB, place=Place(in_memory=True))
    assert on_disk.wants is not None
    assert in_memory.wants is not None
    assert on_disk.wants - in_memory.wants == read_directory(SAMPLES / "bert-ner", "x").tensor_bytes


def _large(place: Path, layers: int = 32, dtype: str = "BF16") -> Any:
    """The header of an eight-billion-parameter Llama over a sparse file."""
    tensors: Tensors = {
        "model.embed_tokens.weight": (dtype, (128256, 4096)),
        "lm_head.weight": (dtype, (128256, 4096)),
    }
    for index in range(layers):
        for name, shape in (
            ("self_attn.q_proj", (4096, 4096)), ("self_attn.k_proj", (1024, 4096)), ("self_attn.v_proj", (1024, 4096)),
            ("self_attn.o_proj", (4096, 4096)), ("mlp.gate_proj", (14336, 4096)), ("mlp.up_proj", (14336, 4096)),
            ("mlp.down_proj", (4096, 14336)),
        ):  # fmt: skip
            tensors[f"model.layers.{index}.{name}.weight"] = (dtype, shape)
    return model(
        place, tensors, num_hidden_layers=layers, num_attention_heads=32, num_key_value_heads=8, hidden_size=4096,
        intermediate_size=14336, vocab_size=128256,
    )  # fmt: skip


def _gpus(*free: float, **more: Any) -> tuple[Device, ...]:
    return tuple(Device(f"GPU {index}", int(size * GIB), 24 * GIB, **more) for index, size in enumerate(free))


def test_a_device_that_is_too_small_names_what_would_help(tmp_path: Path) -> None:
    checkpoint = _large(tmp_path)
    machine = Available(ram=64 * GIB, devices=_gpus(12), base=PROBED)
    made = estimate(checkpoint, machine, device="cuda:0")
    assert made.verdict == "exceeds"
    assert made.device_total is not None
    assert made.shortfall == made.device_total - 12 * GIB
    assert any("load_in_8bit" in line for line in made.advice)
    assert any("on the CPU" in line for line in made.advice)
    assert any("max_memory={0: '" in line for line in made.advice)
    assert estimate(checkpoint, machine, "int8", device="cuda:0").verdict in ("fits", "tight")


def test_a_long_context_is_shortened_to_what_fits(tmp_path: Path) -> None:
    checkpoint = _large(tmp_path)
    machine = Available(ram=64 * GIB, devices=_gpus(22), base=PROBED)
    made = estimate(checkpoint, machine, context=131072, device="cuda:0")
    assert made.verdict == "exceeds"
    words = next(line for line in made.advice if "shorter context" in line)
    fits = int(words.split("at most ")[1].split()[0].replace(",", ""))
    assert estimate(checkpoint, machine, context=fits, device="cuda:0").verdict == "fits"
    assert estimate(checkpoint, machine, context=fits + fits // 16, device="cuda:0").verdict != "fits"
    many = estimate(checkpoint, machine, context=512, batch=4096, device="cuda:0")
    assert any("batch 1" in line for line in many.advice)


def test_the_process_that_holds_the_rest_is_named(tmp_path: Path) -> None:
    held = _gpus(16, holders=(Holder(4242, 7 * GIB, "python"), Holder(7, 1000)))
    made = estimate(_large(tmp_path), Available(ram=64 * GIB, devices=held, base=PROBED), device="cuda:0")
    assert any("end process 4242 (python)" in line for line in made.advice)


def test_several_devices_are_offered_where_together_they_hold_it(tmp_path: Path) -> None:
    machine = Available(ram=8 * GIB, devices=_gpus(12, 12, 12), base=PROBED)
    made = estimate(_large(tmp_path), machine, device="cuda:0")
    assert any("2 GPUs together" in line for line in made.advice)
    both = estimate(_large(tmp_path), machine, device="auto")
    assert both.verdict == "fits"
    assert [part.device for part in both.placement] == ["cuda:0", "cuda:1", "cuda:2"]
    assert sum(part.bytes for part in both.placement) == both.weights


def test_the_other_device_is_offered(tmp_path: Path) -> None:
    made = estimate(_large(tmp_path), Available(ram=8 * GIB, devices=_gpus(4, 23), base=PROBED), device="cuda:0")
    assert any("another device: cuda:1" in line for line in made.advice)


def test_float32_in_little_ram_says_auto_and_by_how_much(tmp_path: Path) -> None:
    checkpoint = _large(tmp_path)
    made = estimate(checkpoint, Available(ram=24 * GIB, base=PROBED, mappable=24 * GIB), "float32")
    assert made.verdict == "exceeds"
    assert made.must is not None
    assert made.shortfall == made.must - 24 * GIB
    assert any("dtype='auto'" in line for line in made.advice)
    assert not any("8 bits" in line for line in made.advice)


def test_unknown_says_why(tmp_path: Path) -> None:
    checkpoint = read_directory(SAMPLES / "bert-ner", "x")
    gone = Available(ram=GIB, devices=(Device("GPU", None, None, note="the GPU is lost"),))
    assert estimate(checkpoint, gone, device="cuda:0").advice == ("the GPU is lost",)
    none = Available(ram=GIB, devices_reason="no driver")
    assert estimate(checkpoint, none, device="cuda:0").advice == ("no driver",)
    cut = read_directory(SAMPLES / "bert-ner-shard-missing", "x")
    assert estimate(cut, none).verdict == "unknown"


def test_training_adds_gradients_and_moments(tmp_path: Path) -> None:
    checkpoint = _large(tmp_path, layers=1)
    machine = Available(ram=200 * GIB, base=PROBED)
    plain, trained = estimate(checkpoint, machine), estimate(checkpoint, machine, training=True)
    assert trained.training == 3 * checkpoint.tensor_bytes
    assert plain.run is not None
    assert trained.run is not None
    assert trained.run > plain.run + trained.training


def test_the_json_keeps_the_contract() -> None:
    checkpoint = read_directory(SAMPLES / "gpt2-tiny", "x")
    machine = Available(ram=GIB, ram_total=GIB, devices=_gpus(12))
    made = to_json(estimate(checkpoint, machine), machine, "x")
    assert {"base_bytes", "load_peak_bytes", "run_bytes", "wants_bytes", "low_bytes", "high_bytes"} <= made[
        "ram"
    ].keys()
    assert {
        "weights_bytes", "kv_cache_bytes", "activation_bytes", "overhead_bytes", "total_bytes", "low_bytes",
        "high_bytes",
    } <= made["device"].keys()  # fmt: skip
    assert {"name", "free_bytes", "total_bytes"} <= made["available"]["devices"][0].keys()
    assert made["device"]["kv_cache_bytes"] == 131072
    assert made["ram"]["low_bytes"] < made["ram"]["load_peak_bytes"] < made["ram"]["high_bytes"]


@pytest.mark.parametrize("name", sorted(item.name for item in SAMPLES.iterdir() if item.is_dir()))
def test_every_sample_has_an_answer(name: str) -> None:
    made = estimate(read_directory(SAMPLES / name, name), Available(ram=8 * GIB, base=PROBED))
    assert made.verdict in ("fits", "unknown")
    assert made.verdict == "fits" or made.advice
