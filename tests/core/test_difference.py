"""Two checkpoints of one or two formats: names, order of elements and values, with files of the real libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file

from tui.core.assemble import read_directory, read_one_file
from tui.core.difference import Difference, difference, to_json
from tui.core.pace import Stopped
from tui.core.relatives import gguf_names, values
from tui.core.relatives.elements import BLOCKS, PLAIN, decode

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint

REPOSITORY = Path(__file__).parents[2]


def _read(path: Path) -> Checkpoint:
    return read_directory(path, str(path)) if path.is_dir() else read_one_file(path, str(path))


def _diff(first: Path, second: Path) -> Difference:
    return difference(_read(first), _read(second), values=True)


def _names(found: Difference) -> dict[str, str]:
    return {match.name: match.other for match in found.matches}


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """A llama of two layers with fewer key than query heads, as transformers saves it."""
    import transformers

    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=4,
        vocab_size=128, max_position_embeddings=77,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


_INVERSE = {
    "embed_tokens": "token_embd", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
    "up_proj": "ffn_up", "down_proj": "ffn_down", "lm_head": "output", "norm": "output_norm",
}  # fmt: skip


def _write_gguf(path: Path, state: dict[str, torch.Tensor], quantize: bool = False) -> None:
    """As llama.cpp's converter writes a llama: names, and query and key rows interleaved."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(8)
    writer.add_head_count_kv(4)
    writer.add_context_length(77)
    writer.add_token_list([f"t{index}" for index in range(128)])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(128)
    for name, value in state.items():
        words = name.split(".")
        part = f"{_INVERSE[words[-2]]}.weight"
        array = value.numpy()
        for projection, heads in (("q_proj", 8), ("k_proj", 4)):
            if projection in name:
                split = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
                array = split.swapaxes(1, 2).reshape(array.shape)
        target = f"blk.{words[2]}.{part}" if words[1] == "layers" else part
        if quantize and array.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(target, gguf.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(target, numpy.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.loader
def test_a_gguf_is_the_llama_that_transformers_reads_out_of_it(llama: Path, tmp_path: Path) -> None:
    import transformers

    state = load_file(llama / "model.safetensors")
    _write_gguf(tmp_path / "llama.gguf", state)
    found = _diff(llama, tmp_path / "llama.gguf")
    assert (found.any, found.equal, found.only_first, found.only_second) == (False, len(state), (), ())
    assert (found.config, found.tokenizer) == ({}, {})
    assert {match.pair.by for match in found.matches} == {"known name"}
    loaded = transformers.LlamaForCausalLM.from_pretrained(tmp_path, gguf_file="llama.gguf").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_a_quantized_gguf_differs_by_what_gguf_says(llama: Path, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    state = load_file(llama / "model.safetensors")
    _write_gguf(tmp_path / "q.gguf", state, quantize=True)
    found = _diff(llama, tmp_path / "q.gguf")
    by_name = {match.name: match for match in found.matches}
    down = by_name["model.layers.1.mlp.down_proj.weight"]
    array = state[down.name].numpy()
    kind = gguf.GGMLQuantizationType.Q8_0
    worst = float(numpy.abs(array - gguf.dequantize(gguf.quantize(array, kind), kind)).max())
    assert down.values is not None
    assert down.values.largest == pytest.approx(worst, rel=1e-6)
    assert down.is_changed
    rotated = by_name["model.layers.0.self_attn.q_proj.weight"].values
    assert rotated is not None
    assert 0 < (rotated.largest or 0) < 1e-3
    assert by_name["model.norm.weight"].values == values.Compared(True, 0.0)


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_blocks_are_decoded_as_gguf_decodes_them(kind: str) -> None:
    gguf = pytest.importorskip("gguf")
    number = gguf.GGMLQuantizationType[kind]
    data = gguf.quantize(numpy.random.default_rng(2).normal(size=(6, 64)).astype("f4"), number)
    assert numpy.array_equal(decode(data.tobytes(), kind), gguf.dequantize(data, number).reshape(-1))


@pytest.mark.parametrize(("name", "dtype"), [("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2),
                                             ("BF16", torch.bfloat16), ("F16", torch.float16)])  # fmt: skip
def test_small_floats_are_decoded_as_torch_decodes_them(name: str, dtype: torch.dtype) -> None:
    width = numpy.dtype(PLAIN[name]).itemsize
    codes: Any = numpy.arange(1 << 8 * width).astype(f"u{width}")
    expected = torch.from_numpy(codes.copy()).view(dtype).float().numpy()
    assert numpy.array_equal(decode(codes.tobytes(), name), expected, equal_nan=True)


@pytest.mark.parametrize("arch", ["LLAMA", "BERT", "GPT2", "T5", "GEMMA2", "QWEN2", "QWEN3", "PHI3"])
def test_names_are_those_of_the_gguf_library(arch: str) -> None:
    gguf = pytest.importorskip("gguf")
    number = gguf.MODEL_ARCH[arch]
    table = gguf.get_tensor_name_map(number, 2)
    known = 0
    for tensor in gguf.MODEL_TENSORS[number]:
        name = f"{gguf.TENSOR_NAMES[tensor].format(bid=1)}.weight"
        translated = gguf_names.translated(name, gguf.MODEL_ARCH_NAMES[number])
        if translated is not None and "experts" not in translated:
            known += 1
            stems = (translated, translated.removeprefix("transformer."))
            back = {table.get_name(stem, try_suffixes=(".weight",)) for stem in stems}
            assert name in back, translated
    assert known >= 10


def _bert(path: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    import transformers

    torch.manual_seed(7)
    config = transformers.BertConfig(
        hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, vocab_size=60,
        max_position_embeddings=16,
    )  # fmt: skip
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    model.save_pretrained(path)
    return model, model.state_dict()


def test_torch_files_and_arrays_are_the_same_model(tmp_path: Path) -> None:
    _, state = _bert(tmp_path / "bert")
    held = load_file(tmp_path / "bert" / "model.safetensors")
    torch.save(held, tmp_path / "a.bin")
    torch.save(held, tmp_path / "b.bin", _use_new_zipfile_serialization=False)
    arrays = {name: value.numpy() for name, value in held.items()}
    numpy.savez(tmp_path / "c.npz", **arrays)
    numpy.savez(
        tmp_path / "d.npz", **{name: numpy.asfortranarray(value.astype(">f4")) for name, value in arrays.items()}
    )
    for name in ("a.bin", "c.npz", "d.npz"):
        found = _diff(tmp_path / "bert" / "model.safetensors", tmp_path / name)
        assert (found.any, found.equal) == (False, len(held)), name
    assert not _diff(tmp_path / "a.bin", tmp_path / "b.bin").only_first
    held["encoder.layer.1.output.dense.weight"][3, 5] += 0.25
    held["embeddings.LayerNorm.weight"] = held["embeddings.LayerNorm.weight"].half()
    save_file(held, tmp_path / "changed.safetensors")
    found = _diff(tmp_path / "d.npz", tmp_path / "changed.safetensors")
    apart = {match.name: match.values.largest for match in found.matches if match.differs and match.values is not None}
    assert apart == {
        "encoder.layer.1.output.dense.weight": pytest.approx(0.25, abs=1e-6),
        "embeddings.LayerNorm.weight": 0.0,
    }
    assert [match.name for match in found.changed] == ["embeddings.LayerNorm.weight"]
    assert len(state) == len(found.matches)


def _flax_tree(held: dict[str, torch.Tensor]) -> dict[str, Any]:
    """As transformers' Flax classes name and turn them (`modeling_flax_pytorch_utils.py`, 4.57)."""
    tree: dict[str, Any] = {}
    for name, value in held.items():
        words = name.split(".")
        array, last = value.numpy(), words[-1]
        if last == "weight" and "embeddings" in words[-2]:
            last = "embedding"
        elif last == "weight" and array.ndim == 1:
            last = "scale"
        elif last == "weight":
            last, array = "kernel", array.transpose(*range(2, array.ndim), 1, 0)
        node = tree
        for word in words[:-1]:
            node = node.setdefault(word, {})
        node[last] = numpy.ascontiguousarray(array)
    return tree


def _flax_bytes(tree: dict[str, Any]) -> bytes:
    msgpack = pytest.importorskip("msgpack")

    def pack(item: Any) -> Any:
        return msgpack.ExtType(1, msgpack.packb((item.shape, item.dtype.name, item.tobytes()), use_bin_type=True))

    return bytes(msgpack.packb(tree, default=pack, strict_types=True))


def test_flax_kernels_are_turned(tmp_path: Path) -> None:
    torch.manual_seed(1)
    held = {
        "layer.0.dense.weight": torch.randn(6, 6),
        "layer.0.norm.weight": torch.randn(6),
        "word_embeddings.weight": torch.randn(9, 6),
        "conv.weight": torch.randn(4, 3, 5, 2),
        "conv.bias": torch.randn(4),
    }
    save_file(held, tmp_path / "m.safetensors")
    (tmp_path / "flax_model.msgpack").write_bytes(_flax_bytes({"params": _flax_tree(held)}))
    found = _diff(tmp_path / "m.safetensors", tmp_path / "flax_model.msgpack")
    assert (found.any, found.equal) == (False, 5)
    assert _names(found)["conv.weight"] == "params/conv/kernel"
    assert {match.name for match in found.matches if match.is_turned} == {"conv.weight", "layer.0.dense.weight"}


def test_onnx_weights_without_names_are_found_by_their_elements(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    torch.manual_seed(2)
    held = {
        "a.weight": torch.randn(6, 4),
        "b.weight": torch.randn(6, 4),
        "c.weight": torch.randn(5, 5),
        "same.weight": torch.zeros(3, 2),
        "also.weight": torch.zeros(3, 2),
        "a.bias": torch.randn(6),
    }
    save_file(held, tmp_path / "m.safetensors")
    renamed = {
        "onnx::MatMul_7": held["b.weight"].T,
        "onnx::MatMul_8": held["a.weight"].T,
        "onnx::MatMul_9": held["c.weight"].T,
        "onnx::MatMul_1": held["same.weight"].T,
        "onnx::MatMul_2": held["also.weight"].T,
        "model.a.bias": held["a.bias"],
    }
    initialisers = [
        onnx.numpy_helper.from_array(numpy.ascontiguousarray(value.numpy()), name) for name, value in renamed.items()
    ]
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("MatMul", ["x", "onnx::MatMul_7"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value("x", 1, [1, 4])], [value("y", 1, [1, 6])], initialisers)
    onnx.save(onnx.helper.make_model(graph), tmp_path / "m.onnx")
    found = _diff(tmp_path / "m.safetensors", tmp_path / "m.onnx")
    assert _names(found) == {
        "a.weight": "onnx::MatMul_8",
        "b.weight": "onnx::MatMul_7",
        "c.weight": "onnx::MatMul_9",
        "a.bias": "model.a.bias",
    }
    assert [match.pair.by for match in found.matches] == ["prefix", "bytes", "bytes", "shape"]
    assert found.equal == 4
    assert found.only_first == ("also.weight", "same.weight")
    assert found.only_second == ("onnx::MatMul_1", "onnx::MatMul_2")


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    odd = torch.tensor([1.0, float("nan"), float("inf"), -0.0])
    save_file({"same": odd, "other": odd.clone(), "zero": torch.zeros(2)}, tmp_path / "a.safetensors")
    changed = {"same": odd.clone(), "other": torch.tensor([1.0, 2.0, float("inf"), 0.0]), "zero": -torch.zeros(2)}
    save_file(changed, tmp_path / "b.safetensors")
    found = to_json(_diff(tmp_path / "a.safetensors", tmp_path / "b.safetensors"), "a", "b")
    assert found["tensors"]["values"] == {"other": {"largest": "Infinity"}, "zero": {"largest": 0.0}}
    assert (found["tensors"]["equal"], found["same"]) == (1, False)


def test_pieces_of_any_size_give_the_same(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = load_file(llama / "model.safetensors")
    state["model.layers.0.self_attn.q_proj.weight"][9, 3] += 0.5
    _write_gguf(tmp_path / "llama.gguf", state)
    expected = to_json(_diff(llama, tmp_path / "llama.gguf"), "", "")
    assert expected["tensors"]["values"] == {
        "model.layers.0.self_attn.q_proj.weight": {"largest": pytest.approx(0.5, abs=1e-6)}
    }
    for piece in (1, 7, 300):
        monkeypatch.setattr(values, "PIECE", piece)
        assert to_json(_diff(llama, tmp_path / "llama.gguf"), "", "") == expected


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    numpy.savez_compressed(tmp_path / "a.npz", w=numpy.ones((3, 2), "f4"))
    save_file({"w": torch.ones(3, 2)}, tmp_path / "m.safetensors")
    found = to_json(_diff(tmp_path / "a.npz", tmp_path / "m.safetensors"), "a", "b")
    assert found["tensors"]["not_compared"] == {"w": "its place in the file is not known"}
    assert found["same"] is True


def test_it_can_be_stopped(llama: Path) -> None:
    with pytest.raises(Stopped):
        difference(_read(llama), _read(llama), values=True, stop=lambda: True)


def test_a_damaged_file_is_no_end(llama: Path, tmp_path: Path) -> None:
    whole = (llama / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    found = _diff(llama / "model.safetensors", tmp_path / "cut.safetensors")
    assert any(match.values is not None and match.values.equal is None for match in found.matches)


def test_the_command(llama: Path, tmp_path: Path) -> None:
    state = load_file(llama / "model.safetensors")
    _write_gguf(tmp_path / "llama.gguf", state)

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "tui", "diff", *arguments],
            capture_output=True, text=True, cwd=REPOSITORY, timeout=120, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    code, out = run(str(llama), str(tmp_path / "llama.gguf"), "--json")
    answer = json.loads(out)
    assert (code, answer["same"], answer["tensors"]["equal"]) == (0, True, len(state))
    assert answer["tensors"]["paired"][0]["by"] == "known name"
    state["lm_head.weight"][0, 0] += 1
    save_file(state, tmp_path / "other.safetensors")
    code, out = run(str(tmp_path / "other.safetensors"), str(tmp_path / "llama.gguf"))
    assert code == 1
    assert "≠ lm_head.weight ~ output.weight: largest change 1" in out
    code, out = run(str(tmp_path / "other.safetensors"), str(tmp_path / "llama.gguf"), "--no-values")
    assert (code, "values were not compared" in out) == (0, True)
