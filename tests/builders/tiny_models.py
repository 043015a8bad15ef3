"""Tiny random models of many families, and what their cache holds after a real pass."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

SMALL: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "moe_intermediate_size": 32, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 128, "n_embd": 64, "n_layer": 4, "n_head": 4,
    "d_model": 64, "num_layers": 4, "num_heads": 4, "d_ff": 96, "encoder_layers": 2, "decoder_layers": 3,
    "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "max_position_embeddings": 256, "n_positions": 256, "n_ctx": 256, "ffn_dim": 96, "num_experts": 4,
    "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "head_dim": 16, "dim": 64, "n_layers": 4,
    "n_heads": 4, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "sliding_window": 8, "mamba_d_state": 8,
    "mamba_n_heads": 8, "mamba_d_head": 16, "state_size": 8, "rotary_dim": 8, "d_kv": 16, "num_decoder_layers": 3,
    "n_inner": 96, "decoder_start_token_id": 1, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    "ffn_hidden_size": 96, "word_embed_proj_dim": 64, "embedding_size": 64, "moe_num_experts": 4,
}  # fmt: skip
"""Sizes that make a model tiny, for whichever of them its config has."""

_MLA: dict[str, Any] = {
    "kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16,
    "head_dim": 8, "num_key_value_heads": 4,
}  # fmt: skip

CHANGES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3], "attn_rotary_emb": 8, "mamba_n_groups": 1},
    "deepseek_v2": {**_MLA, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "deepseek_v3": _MLA, "glm4_moe_lite": _MLA, "minicpm3": _MLA, "axk1": _MLA, "youtu": _MLA,
    "longcat_flash": {**_MLA, "zero_expert_num": 1, "expert_ffn_hidden_size": 32, "moe_topk": 2},
    "deepseek_v32": {**_MLA, "index_head_dim": 16, "index_n_heads": 2, "index_topk": 4},
    "glm_moe_dsa": {**_MLA, "index_head_dim": 16, "index_n_heads": 2, "index_topk": 4},
    "falcon_h1": {"mamba_d_ssm": 128, "mamba_n_groups": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 8},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2, "mamba_n_groups": 1},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False, "mamba_dt_rank": 4},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 2},
    "llama4_text": {"attention_chunk_size": 8, "intermediate_size_mlp": 96},
    "gemma3_text": {"num_hidden_layers": 6},
    "gemma3n_text": {
        "num_hidden_layers": 6, "num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "full_attention"] * 3,
        "activation_sparsity_pattern": [0.0] * 6, "vocab_size_per_layer_input": 128, "hidden_size_per_layer_input": 8,
        "intermediate_size": [96] * 6,
    },
    "gemma4_text": {
        "num_hidden_layers": 6, "num_kv_shared_layers": 2, "global_head_dim": 32, "num_global_key_value_heads": 1,
        "layer_types": ["sliding_attention", "full_attention"] * 3, "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 128,
    },
    "hunyuan_v1_dense": {"head_dim": 16}, "hunyuan_v1_moe": {"head_dim": 16, "moe_topk": 2},
    "ministral": {"head_dim": 16}, "nemotron": {"head_dim": 16, "num_key_value_heads": 2},
    "mamba2": {"num_heads": 8, "head_dim": 16, "n_groups": 1},
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "mlp", "mamba"], "mamba_num_heads": 8, "mamba_head_dim": 16,
        "ssm_state_size": 8, "n_groups": 1,
    },
    "zamba2": {
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"], "num_mem_blocks": 1, "n_mamba_heads": 8,
        "mamba_headdim": 16, "mamba_ngroups": 1, "hybrid_layer_ids": [1, 3], "attention_head_dim": 32,
        "num_key_value_heads": 4,
    },
    "zamba": {"num_hidden_layers": 6, "attn_layer_period": 3, "attn_layer_offset": 2, "n_mamba_heads": 2,
              "use_mamba_kernels": False, "num_key_value_heads": 4, "mamba_dt_rank": 4},
    "kimi_linear": {**_MLA, "layer_types": ["linear_attention", "full_attention"] * 2, "linear_num_heads": 4,
                    "linear_head_dim": 16, "linear_conv_kernel_dim": 4,
                    "num_experts_per_token": 2, "num_expert_group": 1},
    "dots1": {"n_shared_experts": 1, "n_routed_experts": 4, "num_experts_per_tok": 2}, "ernie4_5_moe": {"moe_k": 2},
    "jetmoe": {"kv_channels": 16, "num_attention_heads": 4, "num_key_value_heads": 2},
    "doge": {"head_dim": 16},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"] * 2, "shared_expert_intermediate_size": 32},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 2, "sliding_window": 8},
    "phi3": {"sliding_window": 8},
    "starcoder2": {"sliding_window": 8},
    "mixtral": {"sliding_window": 8},
}  # fmt: skip
"""What further families need to be built at that size, or to show more than one kind of layer."""

PLAIN = (
    "apertus", "arcee", "bitnet", "bloom", "codegen", "cohere", "cohere2", "ctrl", "cwm", "diffllama", "ernie4_5",
    "exaone4", "falcon", "falcon_mamba", "flex_olmo", "gemma", "gemma2", "glm", "glm4", "glm4_moe", "gpt2",
    "gpt_bigcode", "gpt_neox", "gpt_neox_japanese", "gpt_oss", "gptj", "granite", "granitemoe", "helium", "hy_v3",
    "jais2", "llama", "mamba", "minimax", "minimax_m2", "mistral", "modernbert-decoder", "mpt", "nanochat", "olmo",
    "olmo2", "olmo3", "olmo_hybrid", "olmoe", "opt", "persimmon", "phi", "phimoe", "qwen2_moe", "qwen3", "qwen3_5_text",
    "qwen3_moe", "seed_oss", "smollm3", "stablelm", "vaultgemma", "xglm", "biogpt", "internlm3", "ministral3",
    "mimo_v2_flash", "afmoe", "exaone_moe", "solar_open", "granitemoeshared",
)  # fmt: skip
"""Families that need nothing but small sizes."""

ENCODER_DECODERS = (
    "bart", "t5", "mt5", "umt5", "marian", "mbart", "pegasus", "blenderbot", "m2m_100", "longt5",
)  # fmt: skip
ENCODERS = ("bert", "roberta", "distilbert", "electra", "deberta-v2", "mpnet", "modernbert", "albert")
FAMILIES: tuple[str, ...] = tuple(sorted({*CHANGES, *PLAIN, *ENCODER_DECODERS, *ENCODERS}))


def config_of(model_type: str, **changes: Any) -> Any:
    """The family's own config at the small sizes."""
    make = CONFIG_MAPPING[model_type]
    default = make().to_dict()
    values = {key: value for key, value in SMALL.items() if default.get(key) is not None}
    if "decoder_layers" in values:
        values.pop("num_hidden_layers", None)
    return make(**{**values, **CHANGES.get(model_type, {}), **changes})


def class_name(model_type: str) -> str:
    """The class with a head that generates, else that fills masks."""
    for names in (
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES if model_type in ENCODER_DECODERS else {},
        MODEL_FOR_MASKED_LM_MAPPING_NAMES if model_type in ENCODERS else {},
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    ):
        if model_type in names:
            name = names[model_type]
            return str(name if isinstance(name, str) else name[0])
    raise KeyError(model_type)


def build(model_type: str, dtype: Any = torch.bfloat16, **changes: Any) -> Any:
    """A tiny random model, ready to run."""
    torch.manual_seed(0)
    config = config_of(model_type, **changes)
    return getattr(transformers, class_name(model_type))(config).to(dtype).eval()


def cached_parts(model: Any, batch: int, tokens: int) -> list[tuple[str, tuple[int, ...], str, int]]:
    """(path, shape, dtype, bytes) of every tensor that the library's cache holds after one pass over `tokens`."""
    ids = torch.randint(3, 100, (batch, tokens), generator=torch.Generator().manual_seed(1))
    inputs: dict[str, Any] = {"input_ids": ids}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids
    if model.config.model_type not in ENCODERS:
        inputs["use_cache"] = True
    with torch.no_grad():
        output = model(**inputs)
    names = ("past_key_values", "cache_params")
    held = next((output[name] for name in names if output.get(name) is not None), None)
    return held_parts(held)


def held_parts(cache: Any) -> list[tuple[str, tuple[int, ...], str, int]]:
    """(path, shape, dtype, bytes) of every tensor in one of the library's cache objects."""
    found: list[tuple[str, tuple[int, ...], str, int]] = []
    _walk(cache, "", set(), found)
    return found


def held_bytes(cache: Any) -> int:
    """Bytes of those tensors."""
    return sum(size for *_, size in held_parts(cache))


def cached_bytes(model: Any, batch: int, tokens: int) -> int:
    """Bytes of those tensors."""
    return sum(size for *_, size in cached_parts(model, batch, tokens))


def _walk(value: Any, path: str, seen: set[int], found: list[tuple[str, tuple[int, ...], str, int]]) -> None:
    if isinstance(value, torch.Tensor):
        if id(value) not in seen and value.dim() > 1:  # the counters that a layer keeps are scalars
            seen.add(id(value))
            dtype = str(value.dtype).removeprefix("torch.")
            found.append((path, tuple(value.shape), dtype, value.numel() * value.element_size()))
    elif isinstance(value, dict):
        for key, item in value.items():
            _walk(item, f"{path}.{key}", seen, found)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _walk(item, f"{path}[{index}]", seen, found)
    elif value is not None and type(value).__module__.startswith("transformers"):
        for key, item in vars(value).items():
            _walk(item, f"{path}.{key}", seen, found)
