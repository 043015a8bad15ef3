"""Layouts, adapters, quantizations: one case for each rule that fires, and a look-alike on which it stays silent."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.checkpoints import write_config, write_safetensors
from tests.builders.gguf_files import small
from tui.core.assemble import read_directory, read_one_file
from tui.core.diagnosis import gguf as gguf_rules
from tui.core.diagnosis import quantization
from tui.core.diagnosis.evidence import Evidence
from tui.core.report.model import Triage, triage_of
from tui.core.scan import scan
from tui.triage.adapters import base_of
from tui.triage.flow import triage_all
from tui.triage.loaders import verdict_for
from tui.triage.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.builders.checkpoints import Tensors


def _rules(triage: Triage) -> set[str]:
    return {item.rule for item in triage.findings}


def _check(root: Path, packages: dict[str, str] | None = None) -> Triage:
    checkpoint = read_directory(root, str(root)) if root.is_dir() else read_one_file(root, str(root))
    base = base_of(checkpoint) if checkpoint.kind == "adapter" else None
    return triage_of(Evidence(checkpoint, base=base, packages=packages))


def _touch(root: Path, *names: str, data: bytes = b"") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


# GGUF


def test_gguf_rules_and_their_look_alike(tmp_path: Path) -> None:
    good = _check(small(tmp_path / "good.gguf"))
    assert (good.verdict, _rules(good)) == ("loads", set())
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "gguf-unknown-arch": ("gemma9", {}),
        "gguf-vocab-shape": ("llama", {"vocab": 6}),
        "gguf-head-dim": ("llama", {"q": 16}),
    }
    for rule, (architecture, changes) in cases.items():
        triage = _check(small(tmp_path / f"{rule}.gguf", architecture, **changes))
        assert rule in _rules(triage), rule
    long = [("llama.attention.key_length", 4, 4)]
    fits = _check(small(tmp_path / "head.gguf", q=16, pairs=long))
    assert "gguf-head-dim" not in _rules(fits)


def test_known_architectures_are_the_packages() -> None:
    library = pytest.importorskip("gguf")
    assert set(library.constants.MODEL_ARCH_NAMES.values()) == gguf_rules.KNOWN_ARCHITECTURES


def test_a_truncated_gguf_adapter_is_said_twice(tmp_path: Path) -> None:
    path = small(tmp_path / "lora.gguf", pairs=[("general.type", 8, "adapter")])
    assert "gguf-lora-truncated-silent" not in _rules(_check(path))
    path.write_bytes(path.read_bytes()[:-500])
    assert {"gguf-lora-truncated-silent", "gguf-truncated"} <= _rules(_check(path))


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        ("gguf-zero-header", bytes(9000)),
        ("html-gguf", b"<!DOCTYPE html><title>x</title>"),
        ("gguf-old-ggml", b"tjgg" + bytes(90)),
    ],
)  # fmt: skip
def test_what_is_no_gguf(tmp_path: Path, rule: str, data: bytes) -> None:
    (tmp_path / "model.gguf").write_bytes(data)
    triage = _check(tmp_path / "model.gguf")
    assert rule in _rules(triage)
    assert triage.verdict == "fails"
    (tmp_path / "model.bin").write_bytes(data)
    assert rule not in _rules(_check(tmp_path / "model.bin")) or rule == "gguf-old-ggml"


# adapters

LORA = "base_model.model.bert.encoder.layer.0.attention.self.{}.lora_{}.weight"


def _adapter(root: Path, rank: int = 4, width: int = 8, said: int | None = None, **config: Any) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    tensors: Tensors = {}
    for part in ("query", "value"):
        tensors[LORA.format(part, "A")] = ("F32", (rank, width))
        tensors[LORA.format(part, "B")] = ("F32", (width, rank))
    write_safetensors(root / "adapter_model.safetensors", tensors)
    values = {"peft_type": "LORA", "task_type": "TOKEN_CLS", "r": said or rank, "lora_alpha": 8,
              "target_modules": ["query", "value"], "base_model_name_or_path": "nobody/nothing", **config}  # fmt: skip
    (root / "adapter_config.json").write_text(json.dumps(values), "utf-8")
    return root


def _base(root: Path, width: int = 8, rows: int = 50) -> Path:
    write_config(root)
    name = "bert.encoder.layer.0.attention.self.{}.weight"
    tensors: Tensors = {name.format(part): ("F32", (width, width)) for part in ("query", "value")}
    tensors["bert.embeddings.word_embeddings.weight"] = ("F32", (rows, width))
    write_safetensors(root / "model.safetensors", tensors)
    return root


def test_a_good_adapter_names_its_base(tmp_path: Path) -> None:
    base = _base(tmp_path / "base")
    triage = _check(_adapter(tmp_path / "adapter", base_model_name_or_path=str(base)))
    [found] = triage.findings
    assert (found.rule, found.severity, triage.checkpoint.kind) == ("adapter-adapter-as-model", "info", "adapter")
    assert str(base) in found.evidence[0]
    [found] = _check(_adapter(tmp_path / "lonely")).findings
    assert (found.rule, found.severity) == ("adapter-adapter-as-model", "warning")
    assert found.fix[0] == "hf download nobody/nothing"


@pytest.mark.parametrize(
    ("rule", "build"),
    [
        ("adapter-shape-mismatch", lambda root: _adapter(root, rank=4, said=8)),
        ("adapter-target-missing", lambda root: _adapter(root, target_modules=["query", "q_proj"])),
    ],
)  # fmt: skip
def test_adapters_that_do_not_fit_their_config(tmp_path: Path, rule: str, build: Callable[[Path], Path]) -> None:
    assert rule in _rules(_check(build(tmp_path / "a")))
    patterns = {"layer.0.attention.self.query": 4, "value": 4}
    silent = _adapter(tmp_path / "b", rank=4, said=8, rank_pattern=patterns)
    assert rule not in _rules(_check(silent))


def test_an_adapter_without_weights_or_with_nothing_in_them(tmp_path: Path) -> None:
    root = _adapter(tmp_path / "a", rank=4)
    write_safetensors(root / "adapter_model.safetensors", {})
    assert "adapter-empty-weights" in _rules(_check(root))
    empty: Tensors = {LORA.format(part, side): ("F32", (0,)) for part in ("query", "value") for side in "AB"}
    write_safetensors(root / "adapter_model.safetensors", empty)
    assert "adapter-empty-weights" in _rules(_check(root))
    (root / "adapter_model.safetensors").unlink()
    assert "adapter-no-weights" in _rules(_check(root))


def test_an_adapter_against_another_base(tmp_path: Path) -> None:
    base = _base(tmp_path / "base", width=16)
    triage = _check(_adapter(tmp_path / "adapter", base_model_name_or_path=str(base)))
    assert "adapter-shape-mismatch" in _rules(triage)
    assert triage.verdict == "fails"


def test_an_adapter_with_resized_embeddings(tmp_path: Path) -> None:
    base = _base(tmp_path / "base", rows=50)
    name = "base_model.model.bert.embeddings.word_embeddings.weight"
    for rows, fires in ((53, True), (50, False)):
        root = _adapter(tmp_path / f"a{rows}", base_model_name_or_path=str(base))
        tensors: Tensors = {LORA.format("query", "A"): ("F32", (4, 8)), LORA.format("query", "B"): ("F32", (8, 4))}
        tensors[name] = ("F32", (rows, 8))
        write_safetensors(root / "adapter_model.safetensors", tensors)
        assert ("adapter-resized-embeddings" in _rules(_check(root))) is fires


@pytest.mark.loader
def test_peft_says_what_the_rules_say(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    import transformers

    sizes = {
        "vocab_size": 50,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    config = transformers.BertConfig(**sizes)
    transformers.BertForTokenClassification(config).save_pretrained(tmp_path / "base")
    model = transformers.BertForTokenClassification.from_pretrained(tmp_path / "base")
    lora = peft.LoraConfig(task_type="TOKEN_CLS", r=4, target_modules=["query", "value"])
    peft.get_peft_model(model, lora).save_pretrained(tmp_path / "adapter")

    def load() -> None:
        fresh = transformers.BertForTokenClassification.from_pretrained(tmp_path / "base")
        peft.PeftModel.from_pretrained(fresh, str(tmp_path / "adapter"))

    good = _check(tmp_path / "adapter")
    assert not {item.rule for item in good.findings if item.severity == "error"}
    assert len(good.checkpoint.tensors) >= 4
    load()
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(path.read_text("utf-8").replace('"r": 4', '"r": 8'), "utf-8")
    assert "adapter-shape-mismatch" in _rules(_check(tmp_path / "adapter"))
    with pytest.raises(RuntimeError, match="size mismatch"):
        load()
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    assert "adapter-no-weights" in _rules(_check(tmp_path / "adapter"))
    with pytest.raises(Exception, match=r"Can't find|does not appear|Repo id"):
        load()


# composite directories


def _pipeline(root: Path) -> Path:
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
             "scheduler": ["diffusers", "DDIMScheduler"], "safety_checker": [None, None]}  # fmt: skip
    _touch(root, "scheduler/scheduler_config.json", "unet/config.json", data=b"{}")
    (root / "model_index.json").write_text(json.dumps(index), "utf-8")
    tensors: Tensors = {"conv_in.weight": ("F32", (4, 4, 3, 3))}
    write_safetensors(root / "unet" / "diffusion_pytorch_model.safetensors", tensors)
    return root


def test_a_pipeline_and_its_components(tmp_path: Path) -> None:
    root = _pipeline(tmp_path / "sd")
    good = _check(root)
    assert (good.checkpoint.kind, _rules(good)) == ("diffusers", set())
    weights = root / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8])
    cut = _check(root)
    assert (cut.verdict, _rules(cut)) == ("fails", {"component-damaged"})
    weights.unlink()
    assert _rules(_check(root)) == {"diffusers-component-missing"}
    weights.write_bytes(whole)
    (root / "scheduler" / "scheduler_config.json").unlink()
    assert _rules(_check(root)) == {"diffusers-component-missing"}


def test_component_names_do_not_lead_outside(tmp_path: Path) -> None:
    root = _pipeline(tmp_path / "sd")
    _touch(tmp_path / "secret", "config.json", data=b"{}")
    (root / "model_index.json").write_text(json.dumps({"../secret": ["diffusers", "UNet"]}), "utf-8")
    triage = _check(root)
    assert _rules(triage) == {"diffusers-component-missing"}
    assert triage.checkpoint.layout is not None
    assert triage.checkpoint.layout.parts[0].names == ()


def test_modules_of_sentence_transformers(tmp_path: Path) -> None:
    root = _base(tmp_path / "st")
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
              {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
              {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]  # fmt: skip
    (root / "modules.json").write_text(json.dumps(listed), "utf-8")
    triage = _check(root)
    assert triage.checkpoint.kind == "sentence_transformers"
    assert "class-st-missing-module-dir" in _rules(triage)
    _touch(root, "1_Pooling/config.json", data=b"{}")
    assert "class-st-missing-module-dir" not in _rules(_check(root))


def _step(root: Path, *, finished: bool = True, cut: bool = False) -> Path:
    _base(root)
    _touch(root, "optimizer.pt", "scheduler.pt", "rng_state.pth", data=b"\x80\x02}.")
    if finished:
        _touch(root, "trainer_state.json", data=b"{}")
    if cut:
        path = root / "model.safetensors"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    return root


def test_an_interrupted_step_of_the_trainer(tmp_path: Path) -> None:
    _step(tmp_path / "run" / "checkpoint-10")
    assert "file-incomplete-ckpt-dir" not in _rules(_check(tmp_path / "run" / "checkpoint-10"))
    triage = _check(_step(tmp_path / "run" / "checkpoint-20", finished=False, cut=True))
    assert {"file-incomplete-ckpt-dir", "safetensors-truncated"} <= _rules(triage)
    [found] = [item for item in triage.findings if item.rule == "file-incomplete-ckpt-dir"]
    assert "checkpoint-10 also has trainer_state.json" in " ".join(found.evidence)
    assert "checkpoint-10" in found.fix[0]
    final = _touch(_base(tmp_path / "final"), "training_args.bin", data=b"\x80\x02}.")  # as save_model leaves it
    assert "file-incomplete-ckpt-dir" not in _rules(_check(final))


def _zero(root: Path, ranks: tuple[int, ...] = (0, 1), stage3: bool = False) -> Path:
    step = root / "global_step10"
    names = [f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in ranks]
    models = [f"zero_pp_rank_{rank}_mp_rank_00_model_states.pt" for rank in ranks]
    names += models if stage3 else ["mp_rank_00_model_states.pt"]
    _touch(step, *names, data=b"\x80\x02}.")
    _touch(root, "zero_to_fp32.py")
    return _touch(root, "latest", data=b"global_step10")


def test_a_merged_file_without_its_tied_embedding(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, vocab_size=20,
        tie_word_embeddings=True,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    state = {name: value for name, value in model.state_dict().items() if name != "model.embed_tokens.weight"}
    config.save_pretrained(tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert "deepspeed-tied-missing" not in _rules(_check(tmp_path))  # nothing says that DeepSpeed wrote it
    _touch(tmp_path, "zero_to_fp32.py", "latest")
    assert "deepspeed-tied-missing" in _rules(_check(tmp_path))
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"model.embed_tokens.weight\""):
        model.load_state_dict(state)
    loaded = transformers.LlamaForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded.model.embed_tokens.weight, state["lm_head.weight"])
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert "deepspeed-tied-missing" not in _rules(_check(tmp_path))


def test_deepspeed_directories(tmp_path: Path) -> None:
    whole = _check(_zero(tmp_path / "a"))
    assert whole.checkpoint.kind == "deepspeed"
    assert _rules(whole) == {"deepspeed-zero-checkpoint-only"}
    assert "ZeRO stage 1 or 2: 2 ranks" in whole.findings[0].evidence[0]
    third = _check(_zero(tmp_path / "b", (0, 2), stage3=True))
    assert {"deepspeed-rank-file-missing", "deepspeed-zero-checkpoint-only"} <= _rules(third)
    merged = _zero(tmp_path / "c")
    write_safetensors(merged / "model.safetensors", {"w": ("F32", (2,))})
    assert "deepspeed-zero-checkpoint-only" not in _rules(_check(merged))
    (merged / "latest").write_text("global_step99", "utf-8")
    assert "file-incomplete-ckpt-dir" in _rules(_check(merged))
    plain = _touch(tmp_path / "d" / "global_step1", "mp_rank_00_model_states.pt", data=b"\x80\x02}.")
    assert _rules(_check(plain)) >= {"deepspeed-stage0-convert"}
    assert {row.path for row in scan(tmp_path / "a", "a")} == {"a", "a/global_step10"}


@pytest.mark.loader
def test_torchs_sharded_checkpoints(tmp_path: Path) -> None:
    import torch
    from torch.distributed import checkpoint as dcp

    root = tmp_path / "dcp"
    state = {"model": {"w": torch.ones(4, 3), "b": torch.zeros(3, dtype=torch.bfloat16)}, "step": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(state, checkpoint_id=root)
    triage = _check(root)
    assert (triage.checkpoint.kind, triage.verdict) == ("torch_distributed", "loads")
    assert [(item.name, item.dtype, item.shape) for item in triage.checkpoint.tensors] == [
        ("model.w", "F32", (4, 3)), ("model.b", "BF16", (3,)),
    ]  # fmt: skip
    assert _rules(triage) == {"fsdp-sharded"}
    [shard] = root.glob("*.distcp")
    shard.write_bytes(shard.read_bytes()[:100])
    assert _check(root).verdict == "fails"
    shard.rename(root / "elsewhere")
    missing = _check(root)
    assert (missing.verdict, "dist-shard-missing" in _rules(missing)) == ("fails", True)
    with warnings.catch_warnings(), pytest.raises(dcp.api.CheckpointException, match="No such file"):
        warnings.simplefilter("ignore")
        dcp.load({"model": {"w": torch.ones(4, 3)}}, checkpoint_id=root)
    (root / ".metadata").unlink()
    (root / "elsewhere").rename(shard)
    [found] = _check(root).findings
    assert (found.rule, found.severity) == ("fsdp-sharded", "error")


def test_ranked_files_of_fsdp(tmp_path: Path) -> None:
    names = [f"model_world_size_4_rank_{rank}.pt" for rank in (0, 1, 3)]
    triage = _check(_touch(tmp_path / "a", *names, data=b"\x80\x02}."))
    assert {"fsdp-sharded", "dist-shard-missing"} <= _rules(triage)
    whole = _touch(tmp_path / "a", "model_world_size_4_rank_2.pt", data=b"\x80\x02}.")
    assert "dist-shard-missing" not in _rules(_check(whole))


def test_megatron_and_consolidated(tmp_path: Path) -> None:
    root = tmp_path / "iter_0000010"
    for name in ("mp_rank_00_000", "mp_rank_00_001", "mp_rank_01_000"):
        _touch(root / name, "model_optim_rng.pt", data=b"\x80\x02}.")
    [found] = _check(root).findings
    assert (found.rule, found.severity) == ("dist-megatron-tp", "error")
    assert "mp_rank_01_001" in found.evidence[1]
    _touch(root / "mp_rank_01_001", "model_optim_rng.pt", data=b"\x80\x02}.")
    [found] = _check(root).findings
    assert found.severity == "info"
    llama = _touch(tmp_path / "llama", "consolidated.00.pth", "consolidated.01.pth", data=b"\x80\x02}.")
    found = next(item for item in _check(llama).findings if item.rule == "shard-mp-world-size")
    assert (found.severity, "params.json" in found.evidence[1]) == ("error", True)
    _touch(llama, "params.json", data=b'{"dim": 8}')
    found = next(item for item in _check(llama).findings if item.rule == "shard-mp-world-size")
    assert (found.severity, found.fix[0]) == ("info", "torchrun --nproc_per_node 2 …")


def test_tensorflow_js(tmp_path: Path) -> None:
    weights = [
        {"name": "dense/kernel", "shape": [4, 2], "dtype": "float32"},
        {"name": "b", "shape": [2], "dtype": "int32"},
    ]
    model = {"format": "layers-model", "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": weights}]}
    root = _touch(tmp_path / "js", "group1-shard1of1.bin", data=bytes(40))
    (root / "model.json").write_text(json.dumps(model), "utf-8")
    triage = _check(root)
    assert (triage.checkpoint.kind, _rules(triage)) == ("tfjs", set())
    assert [(item.name, item.dtype, item.shape) for item in triage.checkpoint.tensors] == [
        ("dense/kernel", "F32", (4, 2)), ("b", "I32", (2,)),
    ]  # fmt: skip
    (root / "group1-shard1of1.bin").write_bytes(bytes(39))
    assert _rules(_check(root)) == {"layout-part-missing"}
    (root / "group1-shard1of1.bin").rename(root / "group1-shard1of2.bin")
    assert _rules(_check(root)) == {"layout-part-missing"}


def test_orbax_and_coreml_packages_are_recognised(tmp_path: Path) -> None:
    orbax = _touch(
        tmp_path / "orbax", "_CHECKPOINT_METADATA", "default/_METADATA", "default/manifest.ocdbt", data=b"{}"
    )
    assert _check(orbax).checkpoint.kind == "orbax"
    package = _touch(tmp_path / "m.mlpackage", "Data/com.apple.CoreML/model.mlmodel", data=b"\x08\x07\xb2\x1f\x00")
    entry = {"path": "com.apple.CoreML/model.mlmodel", "name": "model.mlmodel"}
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": {"1": entry}}
    (package / "Manifest.json").write_text(json.dumps(manifest), "utf-8")
    triage = _check(package)
    assert (triage.checkpoint.kind, _rules(triage)) == ("coreml", set())
    [file] = triage.checkpoint.files
    assert file.metadata["specification_version"] == 7
    (package / "Data" / "com.apple.CoreML" / "model.mlmodel").unlink()
    assert "layout-part-missing" in _rules(_check(package))
    assert [row.path for row in scan(package, "m.mlpackage")] == ["m.mlpackage"]


# quantized releases

LINEAR = "model.layers.0.mlp.up_proj"


def _quantized(root: Path, config: dict[str, Any] | None, tensors: Tensors, name: str = "model.safetensors") -> Path:
    write_config(root, quantization_config=config)
    write_safetensors(root / name, tensors)
    return root


def _gptq(groups: int) -> Tensors:
    return {f"{LINEAR}.qweight": ("I32", (128, 64)), f"{LINEAR}.qzeros": ("I32", (groups, 8)),
            f"{LINEAR}.scales": ("F16", (groups, 64)), f"{LINEAR}.g_idx": ("I32", (1024,))}  # fmt: skip


def _bnb(*, whole: bool = True) -> Tensors:
    tensors: Tensors = {f"{LINEAR}.weight": ("U8", (512, 1)), f"{LINEAR}.weight.absmax": ("U8", (16,)),
                        f"{LINEAR}.weight.quant_state.bitsandbytes__nf4": ("U8", (90,))}  # fmt: skip
    if whole:
        tensors[f"{LINEAR}.weight.quant_map"] = ("F32", (16,))
    return tensors


FP8: Tensors = {f"{LINEAR}.weight": ("F8_E4M3", (8, 8)), f"{LINEAR}.weight_scale_inv": ("F32", (1, 1))}
PLAIN: Tensors = {f"{LINEAR}.weight": ("BF16", (8, 8))}
PACKED: Tensors = {f"{LINEAR}.weight_packed": ("I32", (8, 1)), f"{LINEAR}.weight_scale": ("BF16", (8, 1)),
                   f"{LINEAR}.weight_shape": ("I64", (2,))}  # fmt: skip
MXFP4: Tensors = {"model.experts.up_blocks": ("U8", (2, 4, 16)), "model.experts.up_scales": ("U8", (2, 4))}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128}
WHOLE = {**GPTQ, "group_size": -1}
DECLARED = {"quant_method": "fp8"}
BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True}


def _without(tensors: Tensors, *endings: str) -> Tensors:
    return {name: value for name, value in tensors.items() if not name.endswith(endings)}


CASES: dict[str, tuple[str, dict[str, Any] | None, Tensors, dict[str, Any] | None, Tensors]] = {
    "unknown": ("quantization-unknown-type", {"quant_method": "newer"}, FP8, {"quant_method": "fp8"}, FP8),
    "leftover": ("quantization-leftover-config", {"quant_method": "fp8"}, PLAIN, BNB, PLAIN),
    "group size": ("quantization-gptq-group-size", GPTQ, _gptq(1), GPTQ, _gptq(8)),
    "no group": ("quantization-gptq-group-size", WHOLE, _gptq(8), WHOLE, _gptq(1)),
    "gptq": ("quantization-vllm-missing-scale", GPTQ, _without(_gptq(8), "scales"), GPTQ, _gptq(8)),
    "fp8": ("quantization-vllm-missing-scale", DECLARED, _without(FP8, "inv"), DECLARED, FP8),
    "packed": ("quantization-vllm-missing-scale", {"quant_method": "compressed-tensors"}, _without(PACKED, "scale"),
               {"quant_method": "compressed-tensors"}, PACKED),
    "mxfp4": ("quantization-vllm-missing-scale", {"quant_method": "mxfp4"}, _without(MXFP4, "_scales"),
              {"quant_method": "mxfp4"}, MXFP4),
    "bnb": ("quantization-vllm-missing-scale", BNB, _bnb(whole=False), BNB, _bnb()),
    "bnb undeclared": ("quantization-bnb-packed-as-plain", None, _bnb(), BNB, _bnb()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_quantized_releases(tmp_path: Path, name: str) -> None:
    rule, config, tensors, other, right = CASES[name]
    assert rule in _rules(_check(_quantized(tmp_path / "bad", config, tensors)))
    silent = _rules(_check(_quantized(tmp_path / "good", other, right)))
    assert not {item for item in silent if item.startswith("quantization")}


def test_a_quantized_file_under_its_own_name(tmp_path: Path) -> None:
    root = _quantized(tmp_path / "a", GPTQ, _gptq(8), "gptq_model-4bit-128g.safetensors")
    _touch(root, "quantize_config.json", data=b'{"bits": 4, "group_size": 128}')
    assert "quantization-gptq-file-name" in _rules(_check(root))
    (root / "gptq_model-4bit-128g.safetensors").rename(root / "model.safetensors")
    assert "quantization-gptq-file-name" not in _rules(_check(root))


def test_known_methods_are_the_librarys() -> None:
    auto = pytest.importorskip("transformers.quantizers.auto")
    assert set(auto.AUTO_QUANTIZER_MAPPING) | {"bitsandbytes"} == quantization.KNOWN_METHODS


@pytest.mark.loader
@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "compressed-tensors", "fp8"])
def test_packages_that_the_loader_asks_for(method: str, samples: Path, tmp_path: Path) -> None:
    import shutil

    import transformers

    root = tmp_path / "m"
    shutil.copytree(samples / "bert-ner", root)
    config = json.loads((root / "config.json").read_text("utf-8"))
    settings = {"load_in_4bit": True} if method == "bitsandbytes" else {"bits": 4, "group_size": 128}
    config["quantization_config"] = {"quant_method": method, **settings}
    (root / "config.json").write_text(json.dumps(config), "utf-8")
    [triage] = asyncio.run(triage_all([read_directory(root, str(root))], Options())).triages
    fired = _rules(triage) & {"quantization-bnb-missing-or-no-cuda", "quantization-package-missing"}
    try:
        transformers.BertForTokenClassification.from_pretrained(root)
    except ImportError as error:
        assert len(fired) == 1
        assert triage.verdict == "fails"
        [found] = [item for item in triage.findings if item.rule in fired]
        assert any(name in str(error) for name in quantization._NEEDS[method])
        assert any(str(error)[:60] in line for line in found.evidence)
    else:
        assert not fired


def test_orbaxs_arrays_are_listed_with_shape_and_dtype(tmp_path: Path) -> None:
    def array(name: str, text: str) -> None:
        _touch(tmp_path, f"default/{name}/.zarray", data=text.encode())
        _touch(tmp_path, f"default/{name}/0.0", data=bytes(10))

    header = {"chunks": [3, 2], "compressor": {"id": "zstd"}, "fill_value": None, "filters": None, "order": "C"}
    for name, shape, dtype in (("params.dense.kernel", [3, 4], "<f4"), ("params.dense.bias", [4], "bfloat16")):
        array(name, json.dumps({**header, "shape": shape, "chunks": shape, "dtype": dtype, "zarr_format": 2}))
    _touch(tmp_path, "_CHECKPOINT_METADATA", "default/_METADATA", data=b"{}")
    triage = _check(tmp_path)
    assert triage.checkpoint.kind == "orbax"
    assert {(item.name, item.dtype, item.shape, item.nbytes) for item in triage.checkpoint.tensors} == {
        ("params.dense.kernel", "F32", (3, 4), 48), ("params.dense.bias", "BF16", (4,), 8),
    }  # fmt: skip
    assert triage.checkpoint.bytes > 20
    assert "orbax-array-header" not in _rules(triage)
    whole = json.dumps({**header, "shape": [3, 4], "dtype": "<f4"})
    for text in (
        whole[:20],
        "[]",
        '{"shape": [-1], "dtype": "<f4"}',
        '{"shape": [1], "dtype": "what"}',
        '{"shape": 3}',
    ):
        array("params.dense.kernel", text)
        assert "orbax-array-header" in _rules(_check(tmp_path)), text
    array("params.dense.kernel", json.dumps({**header, "shape": [1 << 60, 1 << 60], "dtype": "<f4"}))
    assert "orbax-array-header" in _rules(_check(tmp_path))  # tensorstore asks for the memory and is ended


def test_a_release_of_timm_is_placed_by_its_config_as_transformers_places_it(tmp_path: Path) -> None:
    generic = pytest.importorskip("transformers.utils.generic")
    config: dict[str, Any] = {"architecture": "resnet18", "num_classes": 10, "pretrained_cfg": {"tag": "a1_in1k"}}
    write_safetensors(tmp_path / "model.safetensors", {"conv1.weight": ("F32", (4, 3, 3, 3))})
    for settings, fires in ((config, False), ({"architecture": "resnet18"}, True)):
        (tmp_path / "config.json").write_text(json.dumps(settings), "utf-8")
        assert ("config-no-model-type" in _rules(_check(tmp_path))) is fires
        assert generic.is_timm_config_dict(settings) is not fires


def test_a_pickled_module_of_a_package_that_is_not_here_lists_its_weights(tmp_path: Path) -> None:
    """As ultralytics saves its models: the whole module, by its class."""
    torch = pytest.importorskip("torch")
    module = types.ModuleType("somebodys.nn.tasks")
    layers = {"__init__": lambda self: torch.nn.Module.__init__(self), "__module__": module.__name__}
    module.DetectionModel = type("DetectionModel", (torch.nn.Module,), layers)  # type: ignore[attr-defined]
    made = module.DetectionModel()
    made.model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3))
    names = ("somebodys", "somebodys.nn", "somebodys.nn.tasks")
    try:
        sys.modules.update(dict.fromkeys(names, module))
        torch.save({"epoch": -1, "model": made, "train_args": {"task": "detect"}}, tmp_path / "yolov8n.pt")
    finally:
        for name in names:
            del sys.modules[name]
    triage = _check(tmp_path)
    assert {item.name: item.shape for item in triage.checkpoint.tensors} == {
        "model.model.0.weight": (8, 3, 3, 3), "model.model.0.bias": (8,),
    }  # fmt: skip
    assert triage.verdict == "fails"
    assert "somebodys.nn.tasks.DetectionModel" in str([item.evidence for item in triage.findings])
    with pytest.raises(Exception, match="Unsupported global: GLOBAL somebodys"):
        torch.load(tmp_path / "yolov8n.pt", weights_only=True)


def test_what_llama_cpp_alone_refuses_is_no_prediction_for_the_gguf_package(tmp_path: Path) -> None:
    library = pytest.importorskip("gguf")
    triage = _check(small(tmp_path / "m.gguf", vocab=16))
    assert (triage.verdict, verdict_for(triage, "gguf")) == ("fails", "unknown")
    assert len(library.GGUFReader(tmp_path / "m.gguf").tensors) == 3
    cut = tmp_path / "cut.gguf"
    cut.write_bytes((tmp_path / "m.gguf").read_bytes()[:-200])
    assert verdict_for(_check(cut), "gguf") == "fails"


@pytest.mark.parametrize("names", [
    ("iter_0000010/mp_rank_00/model_optim_rng.pt", "iter_0000010/mp_rank_01/model_optim_rng.pt"),
    ("global_step1/mp_rank_00_model_states.pt", "global_step1/zero_pp_rank_0_mp_rank_00_optim_states.pt"),
], ids=["megatron", "deepspeed"])  # fmt: skip
def test_arguments_beside_the_weights_are_read_by_the_loaders_that_wrote_them(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    """Both allow more than torch by itself: what `weights_only` refuses is no failure of theirs."""
    torch = pytest.importorskip("torch")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save({"args": argparse.Namespace(seed=1), "model": {"w": torch.ones(4)}}, tmp_path / name)
    triage = _check(tmp_path / names[0].split("/")[0])
    assert triage.verdict == "unknown"
    assert "pickle-weights-only" not in _rules(triage)
    assert [tensor.shape for tensor in triage.checkpoint.tensors] == [(4,)] * len(triage.checkpoint.tensors) != []
    (tmp_path / names[1]).write_bytes((tmp_path / names[1]).read_bytes()[:-40])
    assert _check(tmp_path / names[0].split("/")[0]).verdict == "fails"


def test_ranks_of_zero_with_a_file_of_another_run(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for rank, size in ((0, 16), (1, 16), (2, 16)):
        _zero_rank(tmp_path, rank, {"single_partition_of_fp32_groups": [torch.ones(size)]})
    assert "dist-rank-differs" not in _rules(_check(tmp_path))
    _zero_rank(tmp_path, 1, {"exp_avg": [torch.ones(16)]})
    [found] = [item for item in _check(tmp_path).findings if item.rule == "dist-rank-differs"]
    assert found.file == "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"
    assert "only here: " in found.evidence[1]


def _zero_rank(root: Path, rank: int, state: dict[str, Any]) -> None:
    import torch

    torch.save({"optimizer_state_dict": state}, root / f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt")


@pytest.mark.parametrize("name", ["../elsewhere", "a b; touch pwned", "$(touch pwned)", "x/y/z", "-rf"])
def test_a_base_that_is_no_repository_is_in_no_command(tmp_path: Path, name: str) -> None:
    [found] = _check(_adapter(tmp_path / "adapter", base_model_name_or_path=name)).findings
    assert found.rule == "adapter-adapter-as-model"
    assert not any(fix.startswith("hf download") or name in fix for fix in found.fix)
