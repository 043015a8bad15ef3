from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.checkpoints import Tensors, write_safetensors
from tests.conftest import SAMPLES
from tui.core.assemble import read_directory
from tui.core.estimate.loading import OVERHEAD, load_of
from tui.core.estimate.weights import Weights, target_dtype, weigh

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import Checkpoint


def model(place: Path, tensors: Tensors, **config: Any) -> Checkpoint:
    place.mkdir(exist_ok=True)
    values = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], **config}
    (place / "config.json").write_text(json.dumps(values), "utf-8")
    write_safetensors(place / "model.safetensors", tensors)
    return read_directory(place, str(place))


DENSE: Tensors = {
    "model.embed_tokens.weight": ("BF16", (100, 64)),
    "model.layers.0.mlp.up_proj.weight": ("BF16", (128, 64)),
    "model.layers.0.input_layernorm.weight": ("BF16", (64,)),
    "lm_head.weight": ("BF16", (100, 64)),
    "model.ids": ("I64", (8,)),
}


def test_the_dtype_is_the_one_that_the_loader_picks(tmp_path: Path) -> None:
    assert target_dtype(model(tmp_path / "a", DENSE, dtype="float16"), "auto") == "float16"
    assert target_dtype(model(tmp_path / "b", DENSE, torch_dtype="torch.float32"), "auto") == "float32"
    assert target_dtype(model(tmp_path / "c", DENSE, text_config={"dtype": "float16"}), "auto") == "float16"
    assert target_dtype(model(tmp_path / "d", DENSE), "auto") == "bfloat16"
    mixed: Tensors = {"a": ("I32", (4,)), "b": ("F8_E4M3", (4,)), "c": ("F16", (4,)), "d": ("F32", (4,))}
    assert target_dtype(model(tmp_path / "e", mixed), "auto") == "float16"
    assert target_dtype(model(tmp_path / "f", DENSE, dtype=7), "float32") == "float32"


@pytest.mark.loader
@pytest.mark.parametrize("named", [None, "float16", "float32"])
def test_the_library_picks_the_same(tmp_path: Path, named: str | None) -> None:
    import torch
    import transformers

    made = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=20, n_positions=8)
    transformers.GPT2LMHeadModel(made).to(torch.bfloat16).save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text("utf-8"))
    values.pop("dtype", None)
    (tmp_path / "config.json").write_text(json.dumps({**values, **({"dtype": named} if named else {})}), "utf-8")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    checkpoint = read_directory(tmp_path, str(tmp_path))
    weighed = weigh(checkpoint, "auto")
    assert str(loaded.dtype) == f"torch.{weighed.target}"
    assert weighed.loaded == sum(item.numel() * item.element_size() for item in loaded.parameters())


def test_only_what_changes_its_dtype_is_copied(tmp_path: Path) -> None:
    checkpoint = model(tmp_path, DENSE)
    stored = checkpoint.tensor_bytes
    same = weigh(checkpoint, "auto")
    assert (same.loaded, same.cast, same.copied_stored) == (stored, 0, 0)
    wide = weigh(checkpoint, "float32")
    assert wide.cast == 2 * (stored - 64)
    assert wide.loaded == wide.cast + 64
    load = load_of(checkpoint, wide)
    assert (load.peak, load.file_peak, load.file_later) == (wide.cast + OVERHEAD, stored - 64, 64)


def test_quantizing_while_loading_leaves_embeddings_norms_and_head(tmp_path: Path) -> None:
    checkpoint = model(tmp_path, DENSE)
    rest = (100 * 64 * 2 + 64) * 2 + 64
    assert weigh(checkpoint, "int8").loaded == rest + 128 * 64 + 128 * 4
    assert weigh(checkpoint, "nf4").loaded == rest + 128 * 64 // 2 + 128 * 64 // 64 * 4


def test_experts_stored_one_by_one_are_stacked(tmp_path: Path) -> None:
    tensors: Tensors = dict(DENSE)
    for expert in range(4):
        for part, shape in (("gate_proj", (32, 64)), ("up_proj", (32, 64)), ("down_proj", (64, 32))):
            tensors[f"model.layers.0.mlp.experts.{expert}.{part}.weight"] = ("BF16", shape)
    weighed = weigh(model(tmp_path, tensors), "auto")
    assert weighed.fused == 4 * 3 * 32 * 64 * 2
    assert weighed.stacking == 2 * 4 * 32 * 64 * 2
    assert not weighed.fused_cast
    one: Tensors = {"model.layers.0.mlp.experts.gate_up_proj": ("BF16", (4, 64, 64)), **DENSE}
    assert weigh(model(tmp_path / "one", one), "auto").fused == 0


def test_packed_weights_and_their_scales_stay_as_they_are(tmp_path: Path) -> None:
    packed: Tensors = {
        "model.embed_tokens.weight": ("F16", (100, 64)),
        "model.layers.0.mlp.up_proj.qweight": ("I32", (8, 128)),
        "model.layers.0.mlp.up_proj.scales": ("F16", (1, 128)),
        "model.layers.0.mlp.up_proj.qzeros": ("I32", (1, 16)),
    }
    quantized = model(tmp_path / "q", packed, quantization_config={"quant_method": "gptq", "bits": 4})
    weighed = weigh(quantized, "float32")
    assert weighed.cast == 100 * 64 * 4
    assert weighed.loaded == 100 * 64 * 4 + 8 * 128 * 4 + 128 * 2 + 16 * 4
    plain = weigh(model(tmp_path / "p", packed), "float32")
    assert plain.cast == 100 * 64 * 4 + 128 * 4


def test_eight_bit_floats_are_unpacked_on_the_cpu_alone(tmp_path: Path) -> None:
    tensors: Tensors = {
        "model.layers.0.mlp.up_proj.weight": ("F8_E4M3", (128, 64)),
        "model.layers.0.mlp.up_proj.weight_scale_inv": ("F32", (1, 1)),
        "model.norm.weight": ("BF16", (64,)),
    }
    checkpoint = model(tmp_path, tensors, quantization_config={"quant_method": "fp8"}, dtype="bfloat16")
    assert weigh(checkpoint, "auto").cast == 128 * 64 * 2
    assert weigh(checkpoint, "auto", "cuda:0").cast == 0


def test_a_legacy_file_is_read_whole_and_a_zip_is_not() -> None:
    legacy = read_directory(SAMPLES / "bert-ner-legacy-bin", "x")
    mapped = read_directory(SAMPLES / "bert-ner-zip-bin", "x")
    for checkpoint, whole in ((legacy, True), (mapped, False)):
        weighed = weigh(checkpoint, "bfloat16")
        load = load_of(checkpoint, weighed)
        assert load.peak == (checkpoint.tensor_bytes if whole else 0) + weighed.cast + OVERHEAD
        assert (load.file_later + load.file_peak > 0) is not whole


def test_an_unknown_kind_is_not_modelled(tmp_path: Path) -> None:
    (tmp_path / "weights.onnx").write_bytes(b"\x08\x07" + b"x" * 60)
    checkpoint = read_directory(tmp_path, "x")
    load = load_of(checkpoint, Weights("float32", 0, 0, 0))
    assert load.peak is None
    assert "not modelled" in load.reason
