"""Models of 60 to 300 MB with random weights, made on the spot, measured and deleted."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file

FORMATS = ("safetensors", "shards", "zip bin", "legacy bin")


@dataclass(frozen=True)
class Recipe:
    """One model: its class, its config, the dtype it is stored in, and the runs to measure."""

    name: str
    cls: str
    config: str
    values: dict[str, Any]
    stored: str
    runs: tuple[tuple[str, str], ...]
    """(format, dtype asked for)."""

    tokens: int = 256
    group: str = "dense"
    held_out: bool = False
    """Whether no constant of the estimate was looked at beside it."""


_T = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8,
      "num_key_value_heads": 4, "vocab_size": 16000, "max_position_embeddings": 2048}  # fmt: skip
_BERT = {"hidden_size": 640, "intermediate_size": 2560, "num_hidden_layers": 8, "num_attention_heads": 10,
         "vocab_size": 20000}  # fmt: skip
_S, _M, _Z, _L = FORMATS
_ALL = ("auto", "float32", "bfloat16")

RECIPES: tuple[Recipe, ...] = (
    Recipe("llama", "LlamaForCausalLM", "LlamaConfig", {**_T, "hidden_size": 768, "intermediate_size": 2048},
           "bfloat16", ((_S, "auto"), (_S, "float32"), (_M, "float32"), (_L, "float32"))),
    Recipe("qwen2", "Qwen2ForCausalLM", "Qwen2Config", {**_T, "tie_word_embeddings": True}, "bfloat16",
           ((_S, "auto"), (_Z, "float32"), (_L, "auto"))),
    Recipe("qwen3", "Qwen3ForCausalLM", "Qwen3Config", {**_T, "head_dim": 128}, "bfloat16",
           ((_S, "auto"), (_S, "float16"))),
    Recipe("gemma2", "Gemma2ForCausalLM", "Gemma2Config", {**_T, "head_dim": 64, "vocab_size": 32000}, "bfloat16",
           ((_S, "auto"), (_S, "float32"))),
    Recipe("gemma3", "Gemma3ForCausalLM", "Gemma3TextConfig", {**_T, "head_dim": 64}, "float32",
           ((_S, "bfloat16"), (_M, "auto"))),
    Recipe("mistral", "MistralForCausalLM", "MistralConfig", {**_T, "sliding_window": 128, "head_dim": 64},
           "bfloat16", ((_Z, "auto"), (_S, "float32"))),
    Recipe("phi3", "Phi3ForCausalLM", "Phi3Config", {**_T, "pad_token_id": 0}, "float16",
           ((_S, "auto"), (_S, "float32"))),
    Recipe("gpt2", "GPT2LMHeadModel", "GPT2Config", {"n_embd": 640, "n_layer": 8, "n_head": 10, "vocab_size": 20000},
           "float32", ((_S, "auto"), (_S, "bfloat16"), (_L, "bfloat16"))),
    Recipe("gpt_neox", "GPTNeoXForCausalLM", "GPTNeoXConfig", {**_T, "intermediate_size": 2048}, "float16",
           ((_S, "auto"), (_M, "float32"))),
    Recipe("opt", "OPTForCausalLM", "OPTConfig", {"hidden_size": 512, "ffn_dim": 2048, "num_hidden_layers": 8,
           "num_attention_heads": 8, "vocab_size": 20000, "word_embed_proj_dim": 512}, "float32",
           ((_Z, "auto"), (_S, "bfloat16"))),
    Recipe("starcoder2", "Starcoder2ForCausalLM", "Starcoder2Config", {**_T, "sliding_window": None}, "bfloat16",
           ((_S, "auto"), (_S, "float32"))),
    Recipe("mamba", "MambaForCausalLM", "MambaConfig", {"hidden_size": 512, "num_hidden_layers": 12,
           "vocab_size": 20000}, "float32", ((_S, "auto"), (_S, "bfloat16")), tokens=64),
    Recipe("bert", "BertForMaskedLM", "BertConfig", _BERT, "float32",
           ((_S, "auto"), (_S, "bfloat16"), (_M, "bfloat16"), (_L, "auto")), group="encoder"),
    Recipe("roberta", "RobertaForSequenceClassification", "RobertaConfig", {**_BERT, "max_position_embeddings": 514},
           "float32", ((_S, "auto"), (_S, "float16")), group="encoder"),
    Recipe("distilbert", "DistilBertForMaskedLM", "DistilBertConfig", {"dim": 640, "hidden_dim": 2560, "n_layers": 6,
           "n_heads": 10, "vocab_size": 20000}, "float32", ((_Z, "bfloat16"), (_S, "auto")), group="encoder"),
    Recipe("modernbert", "ModernBertForMaskedLM", "ModernBertConfig", {"hidden_size": 512, "intermediate_size": 768,
           "num_hidden_layers": 10, "num_attention_heads": 8, "vocab_size": 20000, "pad_token_id": 0, "cls_token_id": 1,
           "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2},
           "float32", ((_S, "bfloat16"),), group="encoder"),
    Recipe("t5", "T5ForConditionalGeneration", "T5Config", {"d_model": 512, "d_ff": 1536, "num_layers": 6, "d_kv": 64,
           "num_heads": 8, "vocab_size": 20000}, "float32", ((_S, "auto"), (_S, "bfloat16"), (_L, "auto")),
           group="encoder-decoder"),
    Recipe("bart", "BartForConditionalGeneration", "BartConfig", {"d_model": 512, "encoder_ffn_dim": 2048,
           "decoder_ffn_dim": 2048, "encoder_layers": 4, "decoder_layers": 4, "encoder_attention_heads": 8,
           "decoder_attention_heads": 8, "vocab_size": 20000}, "float32", ((_S, "auto"), (_Z, "bfloat16")),
           group="encoder-decoder"),
    Recipe("mixtral", "MixtralForCausalLM", "MixtralConfig", {**_T, "num_local_experts": 8, "num_hidden_layers": 5,
           "intermediate_size": 1280}, "bfloat16", ((_S, "auto"), (_S, "float32"), (_M, "auto")), group="experts"),
    Recipe("qwen3_moe", "Qwen3MoeForCausalLM", "Qwen3MoeConfig", {**_T, "num_experts": 16, "num_hidden_layers": 5,
           "moe_intermediate_size": 768, "num_experts_per_tok": 4, "head_dim": 64}, "bfloat16",
           ((_S, "auto"), (_S, "float32")), group="experts"),
    Recipe("mixtral large", "MixtralForCausalLM", "MixtralConfig", {**_T, "hidden_size": 1536,
           "intermediate_size": 5632, "num_local_experts": 4, "num_hidden_layers": 2, "vocab_size": 8000},
           "bfloat16", ((_S, "auto"),), group="experts"),
    Recipe("vit", "ViTForImageClassification", "ViTConfig", {"hidden_size": 640, "intermediate_size": 2560,
           "num_hidden_layers": 10, "num_attention_heads": 10}, "float32", ((_S, "auto"), (_S, "bfloat16")),
           group="vision"),
    Recipe("dinov2", "Dinov2Model", "Dinov2Config", {"hidden_size": 640, "num_hidden_layers": 10,
           "num_attention_heads": 10, "image_size": 224}, "float32", ((_S, "auto"), (_Z, "float16")), group="vision"),
    Recipe("clip vision", "CLIPVisionModel", "CLIPVisionConfig", {"hidden_size": 640, "intermediate_size": 2560,
           "num_hidden_layers": 10, "num_attention_heads": 10}, "float32", ((_S, "bfloat16"),), group="vision"),
    Recipe("wav2vec2", "Wav2Vec2ForCTC", "Wav2Vec2Config", {"hidden_size": 640, "intermediate_size": 2560,
           "num_hidden_layers": 8, "num_attention_heads": 10}, "float32", ((_S, "auto"), (_S, "bfloat16")),
           tokens=128, group="audio"),
    Recipe("whisper", "WhisperForConditionalGeneration", "WhisperConfig", {"d_model": 512, "encoder_layers": 6,
           "decoder_layers": 6, "encoder_attention_heads": 8, "decoder_attention_heads": 8, "encoder_ffn_dim": 2048,
           "decoder_ffn_dim": 2048, "vocab_size": 20000, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
           "decoder_start_token_id": 1}, "float32", ((_S, "auto"), (_S, "bfloat16")), tokens=128, group="audio"),
    Recipe("bloom", "BloomForCausalLM", "BloomConfig", {"hidden_size": 512, "n_layer": 8, "n_head": 8,
           "vocab_size": 20000}, "float16", ((_S, "auto"), (_S, "float32")), held_out=True),
    Recipe("stablelm", "StableLmForCausalLM", "StableLmConfig", _T, "bfloat16", ((_Z, "float32"), (_M, "auto")),
           held_out=True),
    Recipe("granite", "GraniteForCausalLM", "GraniteConfig", _T, "float32", ((_L, "bfloat16"), (_S, "float16")),
           held_out=True),
    Recipe("falcon", "FalconForCausalLM", "FalconConfig", {"hidden_size": 640, "num_hidden_layers": 8,
           "num_attention_heads": 10, "vocab_size": 20000}, "bfloat16", ((_S, "auto"), (_M, "float32")), held_out=True),
    Recipe("olmoe", "OlmoeForCausalLM", "OlmoeConfig", {**_T, "num_experts": 12, "num_hidden_layers": 5,
           "intermediate_size": 896, "num_experts_per_tok": 4}, "bfloat16", ((_S, "auto"), (_S, "float32")),
           group="experts"),
    Recipe("electra", "ElectraForMaskedLM", "ElectraConfig", {**_BERT, "embedding_size": 640}, "float32",
           ((_S, "bfloat16"), (_L, "auto")), group="encoder", held_out=True),
    Recipe("pegasus", "PegasusForConditionalGeneration", "PegasusConfig", {"d_model": 512, "encoder_ffn_dim": 2048,
           "decoder_ffn_dim": 2048, "encoder_layers": 4, "decoder_layers": 4, "encoder_attention_heads": 8,
           "decoder_attention_heads": 8, "vocab_size": 20000}, "float32", ((_S, "bfloat16"), (_M, "auto")),
           group="encoder-decoder"),
    Recipe("marian", "MarianMTModel", "MarianConfig", {"d_model": 512, "encoder_ffn_dim": 2048,
           "decoder_ffn_dim": 2048, "encoder_layers": 4, "decoder_layers": 4, "encoder_attention_heads": 8,
           "decoder_attention_heads": 8, "vocab_size": 20000, "pad_token_id": 19999, "decoder_start_token_id": 19999,
           "max_position_embeddings": 512}, "float32", ((_S, "auto"), (_Z, "bfloat16")), group="encoder-decoder"),
    Recipe("deit", "DeiTForImageClassification", "DeiTConfig", {"hidden_size": 640, "intermediate_size": 2560,
           "num_hidden_layers": 10, "num_attention_heads": 10}, "float32", ((_S, "auto"), (_Z, "bfloat16")),
           group="vision", held_out=True),
    Recipe("hubert", "HubertForCTC", "HubertConfig", {"hidden_size": 640, "intermediate_size": 2560,
           "num_hidden_layers": 8, "num_attention_heads": 10}, "float32", ((_S, "auto"), (_Z, "bfloat16")),
           tokens=128, group="audio", held_out=True),
)  # fmt: skip


def make(recipe: Recipe, place: Path) -> None:
    """Save the model as one safetensors file."""
    torch.manual_seed(0)
    config = getattr(transformers, recipe.config)(**recipe.values)
    model = getattr(transformers, recipe.cls)(config).to(getattr(torch, recipe.stored))
    model.config.dtype = getattr(torch, recipe.stored)
    model.save_pretrained(place, max_shard_size="10GB")


def variant(source: Path, place: Path, form: str) -> Path:
    """The same weights in another form, beside the same config; the source itself for one safetensors file."""
    if form == "safetensors":
        return source
    place.mkdir()
    (place / "config.json").write_bytes((source / "config.json").read_bytes())
    state = load_file(source / "model.safetensors")
    if form == "shards":
        _shards(state, place)
    else:
        torch.save(state, place / "pytorch_model.bin", _use_new_zipfile_serialization=form == "zip bin")
    return place


def _shards(state: dict[str, Any], place: Path, count: int = 4) -> None:
    """The tensors dealt out over `count` files with an index."""
    from safetensors.torch import save_file

    names = sorted(state)
    weight_map: dict[str, str] = {}
    step = (len(names) + count - 1) // count
    for number in range(count):
        part = names[number * step : (number + 1) * step]
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        save_file({name: state[name] for name in part}, place / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    index = {"metadata": {"total_size": sum(item.nbytes for item in state.values())}, "weight_map": weight_map}
    (place / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


if __name__ == "__main__":
    make(next(recipe for recipe in RECIPES if recipe.name == sys.argv[1]), Path(sys.argv[2]))
