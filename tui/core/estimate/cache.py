"""Bytes of the cache that generation keeps: keys and values, or a recurrent state, per kind of layer.

Exact against the tensors in `past_key_values` of transformers 5.23 for every family in `FAMILIES`; another family is
not guessed at. A sliding layer keeps one token less than its window (`DynamicSlidingWindowLayer`), latent attention
keeps its compressed form once for all heads, and recurrent states are kept in 32 bits whatever the weights' dtype.
"""

from __future__ import annotations

from collections import Counter

from tui.core.estimate.families import DECODERS, ENCODER_DECODERS, ENCODERS, MAMBA_1, MAMBA_2
from tui.core.estimate.layers import CHUNKED, FULL, HYBRID, INDEXED, SLIDING, layer_kinds
from tui.core.estimate.numbers import Config, NotModelled, bounded, need, text_config, whole
from tui.core.record import Record, field

_PER_LAYER = frozenset({"head_dim", "num_key_value_heads", "num_attention_heads", "v_head_dim", "sliding_window"})
"""What the cache of one layer depends on and may differ between layers."""

_STATE = 4
"""Bytes of one element of a recurrent state."""


class Cache(Record, frozen=True):
    """The cache of one run."""

    bytes: int | None
    """`None` where this family is not modelled."""

    reason: str = ""
    """Why not."""

    kinds: dict[str, int] = field(default_factory=dict)
    """Layers by the kind of cache they keep."""


class _Run(Record, frozen=True):
    """What is run: tokens of the text, of the source that an encoder read, sequences, bytes of one element."""

    tokens: int
    source: int
    batch: int
    element: int


def cache_bytes(config: Config, tokens: int, batch: int, element: int, source: int | None = None) -> Cache:
    """The cache after `tokens` tokens in each of `batch` sequences, at `element` bytes a number.

    An encoder-decoder's source has `source` tokens, by default as many as its output.
    """
    run = _Run(tokens, tokens if source is None else source, batch, element)
    try:
        return _cache(config, run)
    except NotModelled as error:
        return Cache(None, str(error))


def _cache(config: Config, run: _Run) -> Cache:
    text = text_config(config)
    model_type = str(text.get("model_type") or config.get("model_type") or "")
    if model_type in ENCODERS and not text.get("is_decoder"):
        return Cache(0, "an encoder keeps no cache")
    if model_type in ENCODER_DECODERS:
        return _encoder_decoder(text, model_type, run)
    if model_type not in DECODERS:
        named = f"model type {model_type[:60]!r}" if model_type else "a config without model_type"
        raise NotModelled(f"the cache of {named} is not modelled")
    kinds = layer_kinds(text, model_type)
    own = _own_values(text, len(kinds))
    alike = Counter(kind for index, kind in enumerate(kinds) if index not in own)
    total = sum(count * _layer(text, model_type, kind, run) for kind, count in alike.items())
    total += sum(_layer({**text, **values}, model_type, kinds[index], run) for index, values in own.items())
    if model_type == "longcat_flash":  # two attentions in each layer
        total *= 2
    return Cache(bounded(run.batch * total), kinds=dict(Counter(kinds)))


def _own_values(text: Config, layers: int) -> dict[int, Config]:
    """Values that single layers have of their own (`per_layer_config`), by index."""
    listed = text.get("per_layer_config")
    if not isinstance(listed, dict) or not listed:
        return {}
    if len(listed) > layers:
        raise NotModelled("per_layer_config names more layers than there are")
    out: dict[int, Config] = {}
    for key, values in listed.items():
        if not (key.isdecimal() and len(key) < 6 and int(key) < layers and isinstance(values, dict)):
            raise NotModelled("per_layer_config does not name layers by number")
        out[int(key)] = {name: value for name, value in values.items() if name in _PER_LAYER}
    return out


def _layer(text: Config, model_type: str, kind: str, run: _Run) -> int:
    """Bytes of one layer for one sequence."""
    match kind:
        case "full_attention":
            return run.tokens * _per_token(text, model_type, FULL) * run.element
        case "sliding_attention":
            return (
                _windowed(run.tokens, need(text, "sliding_window"))
                * _per_token(text, model_type, SLIDING)
                * run.element
            )
        case "chunked_attention":
            kept = _windowed(run.tokens, need(text, "attention_chunk_size"))
            return kept * _per_token(text, model_type, CHUNKED) * run.element
        case "indexed_attention":
            return run.tokens * (_per_token(text, model_type, INDEXED) + need(text, "index_head_dim")) * run.element
        case "linear_attention":
            return _state(text, model_type, run.element)
        case "conv":
            return need(text, "hidden_size") * need(text, "conv_L_cache") * run.element
        case "hybrid":
            attention = run.tokens * _per_token(text, model_type, HYBRID) * run.element
            return attention + _state(text, model_type, run.element)
        case _:
            return 0


def _windowed(tokens: int, window: int) -> int:
    """Tokens that a window keeps: one less than its width, but all of them where that would be none."""
    return min(tokens, window - 1) if window > 1 else tokens


def _per_token(text: Config, model_type: str, kind: str) -> int:
    """Numbers that one layer keeps for one token."""
    latent = whole(text, "kv_lora_rank")
    if latent is not None:
        return latent + need(text, "qk_rope_head_dim")
    if model_type == "mimo_v2_flash":
        heads = need(text, "num_key_value_heads") * (2 if kind == SLIDING else 1)
        return heads * (need(text, "head_dim") + need(text, "v_head_dim"))
    if model_type in ("gemma4", "gemma4_text") and kind == FULL and "per_layer_config" not in text:
        shared = whole(text, "num_global_key_value_heads") if text.get("attention_k_eq_v", True) else None
        return 2 * (shared or _key_heads(text, model_type)) * (whole(text, "global_head_dim") or 512)
    return 2 * _key_heads(text, model_type) * _head_size(text)


def _heads(text: Config) -> int:
    return need(text, "num_attention_heads", "n_head", "num_heads", "n_heads", "attention_heads")


def _key_heads(text: Config, model_type: str) -> int:
    """Heads of keys and values: fewer than those of queries where they are shared."""
    if model_type == "falcon" and not text.get("new_decoder_architecture"):
        return 1 if text.get("multi_query", True) else _heads(text)
    if model_type == "gpt_bigcode":
        return 1 if text.get("multi_query", True) else _heads(text)
    return whole(text, "num_key_value_heads", "num_kv_heads") or _heads(text)


def _head_size(text: Config) -> int:
    named = whole(text, "head_dim", "attention_head_dim", "kv_channels")
    if named is not None:
        return named
    return need(text, "hidden_size", "n_embd", "d_model", "n_embed") // _heads(text)


def _state(text: Config, model_type: str, element: int) -> int:
    """Bytes of one layer's recurrent and convolution state, independent of the tokens."""
    if model_type in MAMBA_1 or model_type in MAMBA_2:
        return _mamba(text, model_type, element)
    if model_type == "minimax":
        return _heads(text) * _head_size(text) ** 2 * element
    if model_type == "kimi_linear":
        part = text.get("linear_attn_config")
        inner = part if isinstance(part, dict) else {}
        heads = whole(inner, "num_heads") or need(text, "linear_num_heads")
        size = whole(inner, "head_dim") or need(text, "linear_head_dim")
        kernel = whole(inner, "short_conv_kernel_size") or need(text, "linear_conv_kernel_dim")
        return 3 * heads * size * kernel * element + heads * size * size * _STATE
    keys = need(text, "linear_num_key_heads") * need(text, "linear_key_head_dim")
    values = need(text, "linear_num_value_heads") * need(text, "linear_value_head_dim")
    convolution = (2 * keys + values) * need(text, "linear_conv_kernel_dim") * element
    return convolution + values * need(text, "linear_key_head_dim") * _STATE


def _mamba(text: Config, model_type: str, element: int) -> int:
    """Mamba's state; version 2 also convolves its B and C."""
    inner = _mamba_inner(text, model_type)
    state = need(text, "mamba_d_state", "ssm_state_size", "state_size")
    kernel = need(text, "mamba_d_conv", "conv_kernel")
    convolved = inner
    if model_type in MAMBA_2:
        convolved += 2 * need(text, "mamba_n_groups", "mamba_ngroups", "n_groups") * state
    return convolved * kernel * element + inner * state * _STATE


def _mamba_inner(text: Config, model_type: str) -> int:
    if model_type == "nemotron_h":
        return need(text, "mamba_num_heads") * need(text, "mamba_head_dim")
    named = whole(text, "mamba_d_ssm") if model_type == "falcon_h1" else None
    if model_type in ("mamba", "falcon_mamba"):
        named = whole(text, "intermediate_size", "d_inner")
    if named is not None:
        return named
    factor = text.get("mamba_expand", text.get("expand"))
    if not isinstance(factor, int | float) or isinstance(factor, bool) or not 0 < factor <= 64:
        raise NotModelled("config.json has no usable expand factor")
    return int(factor * need(text, "hidden_size"))


def _encoder_decoder(text: Config, model_type: str, run: _Run) -> Cache:
    """Keys and values of what was written, and of the source once."""
    if text.get("is_encoder_decoder") is False:
        raise NotModelled(f"{model_type} used as a decoder alone is not modelled")
    heads = need(text, "decoder_attention_heads", "num_heads", "num_attention_heads")
    width = need(text, "d_model", "hidden_size")
    size = whole(text, "d_kv") or width // heads
    layers = need(text, "decoder_layers", "num_decoder_layers", "num_layers", most=4096)
    source = need(text, "max_source_positions") if model_type == "whisper" else run.source
    each = 2 * heads * size * run.element * run.batch
    return Cache(bounded(layers * each * (run.tokens + source)), kinds={"full_attention": layers, "cross": layers})
