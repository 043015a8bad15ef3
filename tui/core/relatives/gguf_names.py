"""GGUF's tensor names under those of transformers, and what its converter does to the elements on the way.

Names are the inverse of `gguf/tensor_mapping.py` 0.19 for the architectures met most; what the converter does to
elements is what `transformers/modeling_gguf_pytorch_utils.py` 5.23 undoes (`LlamaTensorProcessor`, `GPT2…`, `Gemma2…`).
"""

from __future__ import annotations

import re
from typing import Any

_BLOCK = re.compile(r"^(?P<side>enc\.|dec\.)?blk\.(?P<number>\d+)\.(?P<part>[\w.]+)\.(?P<end>weight|bias)$")

_DECODER = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "ffn_gate_inp": "mlp.gate", "ffn_gate_exps": "mlp.experts.gate_proj",
    "ffn_up_exps": "mlp.experts.up_proj", "ffn_down_exps": "mlp.experts.down_proj",
}  # fmt: skip
_GEMMA = {
    **_DECODER, "ffn_norm": "pre_feedforward_layernorm", "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}  # fmt: skip
_BERT = {
    "token_embd": "embeddings.word_embeddings", "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings", "token_embd_norm": "embeddings.LayerNorm",
    "attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense", "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense", "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm",
}  # fmt: skip
_GPT2 = {
    "token_embd": "transformer.wte", "position_embd": "transformer.wpe", "output_norm": "transformer.ln_f",
    "output": "lm_head", "attn_norm": "ln_1", "ffn_norm": "ln_2", "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj",
}  # fmt: skip
_T5_SHARED = {
    "attn_norm": "layer.0.layer_norm", "attn_q": "layer.0.SelfAttention.q", "attn_k": "layer.0.SelfAttention.k",
    "attn_v": "layer.0.SelfAttention.v", "attn_o": "layer.0.SelfAttention.o",
    "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
}  # fmt: skip
_T5_CROSS = {
    "cross_attn_norm": "layer.1.layer_norm", "cross_attn_q": "layer.1.EncDecAttention.q",
    "cross_attn_k": "layer.1.EncDecAttention.k", "cross_attn_v": "layer.1.EncDecAttention.v",
    "cross_attn_o": "layer.1.EncDecAttention.o",
}  # fmt: skip
_T5 = {
    "token_embd": "shared", "output": "lm_head", "enc.output_norm": "encoder.final_layer_norm",
    "dec.output_norm": "decoder.final_layer_norm",
}  # fmt: skip
TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "bert": ("encoder.layer", _BERT),
    "gpt2": ("transformer.h", _GPT2),
    "gemma2": ("model.layers", _GEMMA),
    "gemma3": ("model.layers", _GEMMA),
    "t5": ("", _T5),
    "t5encoder": ("", _T5),
}
"""(what precedes a layer's number, name of each part) by architecture; all others are decoders of llama's naming."""

_TRANSPOSED = {"gpt2": frozenset({"attn_qkv", "attn_output", "ffn_up", "ffn_down"})}
"""Matrices that transformers keeps as [in, out] and GGUF as [out, in]."""

_ROTARY = frozenset({"llama"})
"""Architectures whose query and key rows the converter interleaves."""

_SHIFTED = frozenset({"gemma", "gemma2", "gemma3"})
"""Architectures to whose norms the converter adds one."""

_FIELDS: tuple[tuple[str, str], ...] = (
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("context_length", "max_position_embeddings"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.layer_norm_epsilon", "layer_norm_eps"),
    ("vocab_size", "vocab_size"),
)
"""GGUF keys (after the architecture's name) by the field of config.json that they hold."""


def architecture(metadata: dict[str, Any]) -> str:
    """`general.architecture`, empty where the header has none."""
    name = metadata.get("general.architecture", "")
    return name if isinstance(name, str) else ""


def translated(name: str, arch: str) -> str | None:
    """transformers' name of a GGUF tensor, `None` where the table has none."""
    place, parts = TABLES.get(arch, ("model.layers", _DECODER))
    block = _BLOCK.match(name)
    if block is None:
        stem, _, end = name.rpartition(".")
        return f"{parts[stem]}.{end}" if stem in parts and "blk" not in stem else None
    if block["side"]:
        return _t5(block)
    known = parts.get(block["part"])
    return None if known is None else f"{place}.{block['number']}.{known}.{block['end']}"


def _t5(block: re.Match[str]) -> str | None:
    """A layer of T5: the feed-forward part is the third of a decoder's layer and the second of an encoder's."""
    decoder = block["side"] == "dec."
    feed = f"layer.{2 if decoder else 1}"
    parts = {
        **_T5_SHARED,
        **(_T5_CROSS if decoder else {}),
        "ffn_norm": f"{feed}.layer_norm",
        "ffn_gate": f"{feed}.DenseReluDense.wi_0",
        "ffn_up": f"{feed}.DenseReluDense.wi_1",
        "ffn_down": f"{feed}.DenseReluDense.wo",
    }
    known = parts.get(block["part"])
    stack = "decoder" if decoder else "encoder"
    return None if known is None else f"{stack}.block.{block['number']}.{known}.{block['end']}"


def is_transposed(name: str, arch: str) -> bool:
    """Whether transformers keeps the matrix the other way round."""
    block = _BLOCK.match(name)
    return block is not None and block["end"] == "weight" and block["part"] in _TRANSPOSED.get(arch, ())


def rotary_heads(name: str, metadata: dict[str, Any]) -> int:
    """Heads whose rows are interleaved pairwise in this tensor, 0 where none are."""
    arch = architecture(metadata)
    block = _BLOCK.match(name)
    if arch not in _ROTARY or block is None or block["part"] not in ("attn_q", "attn_k"):
        return 0
    heads = metadata.get(f"{arch}.attention.head_count")
    if block["part"] == "attn_k":
        heads = metadata.get(f"{arch}.attention.head_count_kv", heads)
    return heads if type(heads) is int and heads > 0 else 0


def shift(name: str, arch: str) -> float:
    """What the converter has added to every element."""
    return 1.0 if arch in _SHIFTED and name.endswith("norm.weight") else 0.0


def config_fields(metadata: dict[str, Any]) -> dict[str, Any]:
    """Fields of config.json that a GGUF header holds under its own names; its floats are of single precision."""
    arch = architecture(metadata)
    held = {field: metadata.get(f"{arch}.{key}") for key, field in _FIELDS}
    numbers = {field: value for field, value in held.items() if type(value) in (int, float)}
    return {field: float(f"{value:.7g}") if type(value) is float else value for field, value in numbers.items()}
