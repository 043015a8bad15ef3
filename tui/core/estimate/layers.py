"""Which kind of cache each layer of a decoder keeps.

Mirrors `get_layer_types_and_kwargs` of transformers 5.23 (`cache_utils.py`) and, for configs written before
`layer_types` was saved, what each family's configuration class derives it from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.estimate.numbers import MAX_LAYERS, Config, NotModelled, layer_count, whole

if TYPE_CHECKING:
    from collections.abc import Callable

FULL, SLIDING, CHUNKED, INDEXED = "full_attention", "sliding_attention", "chunked_attention", "indexed_attention"
LINEAR, CONV, HYBRID, EMPTY = "linear_attention", "conv", "hybrid", "dummy"
KINDS = (FULL, SLIDING, CHUNKED, INDEXED, LINEAR, CONV, HYBRID, EMPTY)

_OLD_NAMES = {
    "mamba": LINEAR,
    "attention": FULL,
    "deepseek_sparse_attention": INDEXED,
    "moe": EMPTY,
    "mlp": EMPTY,
}


def layer_kinds(text: Config, model_type: str) -> list[str]:
    """One of `KINDS` for each layer; raises `NotModelled`."""
    listed = text.get("layer_types")
    if listed is None:
        listed = text.get("layers_block_type")
    if isinstance(listed, list):
        kinds = [_named(item, model_type) for item in _bounded(listed)]
    elif model_type in _DERIVED:
        kinds = _DERIVED[model_type](text, layer_count(text))
    else:
        kinds = [_by_window(text)] * layer_count(text)
    return _without_shared(text, kinds)


def _bounded(listed: list[Any]) -> list[Any]:
    if not 0 < len(listed) <= MAX_LAYERS:
        raise NotModelled(f"layer_types lists {len(listed):,} layers")
    return listed


def _named(item: Any, model_type: str) -> str:
    kind = _OLD_NAMES.get(item, item) if isinstance(item, str) else None
    if kind == HYBRID and model_type in ("zamba", "zamba2"):
        return HYBRID
    if kind not in KINDS:
        raise NotModelled(f"the cache of a layer of type {str(item)[:40]!r} is not modelled")
    return kind


def _by_window(text: Config) -> str:
    if text.get("sliding_window") is not None:
        return SLIDING
    return CHUNKED if text.get("attention_chunk_size") is not None else FULL


def _without_shared(text: Config, kinds: list[str]) -> list[str]:
    """Layers that read the keys of an earlier one keep none of their own (Gemma 3n and 4)."""
    shared = whole(text, "num_kv_shared_layers", most=MAX_LAYERS) or 0
    if not shared:
        return kinds
    return kinds[: max(len(kinds) - shared, 0)] + [EMPTY] * min(shared, len(kinds))


def _every(key: str, default: int, others: str) -> Callable[[Config, int], list[str]]:
    """Every n-th layer is full, the others are of another kind."""

    def kinds(text: Config, layers: int) -> list[str]:
        period = whole(text, key) or default
        return [others if (index + 1) % period else FULL for index in range(layers)]

    return kinds


def _all(kind: str) -> Callable[[Config, int], list[str]]:
    return lambda _text, layers: [kind] * layers


def _exaone(text: Config, layers: int) -> list[str]:
    pattern = text.get("sliding_window_pattern", 4)
    if text.get("sliding_window") is None:
        return [FULL] * layers
    period = len(pattern) if isinstance(pattern, str) else pattern
    if not isinstance(period, int) or period < 1:
        raise NotModelled("sliding_window_pattern is no period")
    return [SLIDING if (index + 1) % period else FULL for index in range(layers)]


def _gemma4(text: Config, layers: int) -> list[str]:
    return [*_every("", 6, SLIDING)(text, layers)[:-1], FULL]


def _modernbert(text: Config, layers: int) -> list[str]:
    period = whole(text, "global_attn_every_n_layers") or 3
    return [SLIDING if index % period else FULL for index in range(layers)]


def _cwm(text: Config, layers: int) -> list[str]:
    period = whole(text, "window_pattern") or 4
    return [SLIDING if index % period else FULL for index in range(layers)]


def _qwen(text: Config, layers: int) -> list[str]:
    if not text.get("use_sliding_window") or text.get("sliding_window") is None:
        return [FULL] * layers
    first = whole(text, "max_window_layers") or (28 if "max_window_layers" not in text else 0)
    return [SLIDING if index >= first else FULL for index in range(layers)]


def _qwen2_moe(text: Config, layers: int) -> list[str]:
    if not text.get("use_sliding_window"):
        return [FULL] * layers
    first = whole(text, "max_window_layers") or 28
    return [SLIDING if (index + 1) % 2 and index < first else FULL for index in range(layers)]


def _no_rope(text: Config, layers: int) -> list[bool]:
    """Whether each layer uses rotary positions (SmolLM 3, Llama 4)."""
    listed = text.get("no_rope_layers")
    if isinstance(listed, list) and len(listed) == layers:
        return [bool(item) for item in listed]
    period = whole(text, "no_rope_layer_interval") or 4
    return [(index + 1) % period != 0 for index in range(layers)]


def _smollm3(text: Config, layers: int) -> list[str]:
    slides = bool(text.get("use_sliding_window")) and text.get("sliding_window") is not None
    return [SLIDING if slides and not rope else FULL for rope in _no_rope(text, layers)]


def _llama4(text: Config, layers: int) -> list[str]:
    return [CHUNKED if rope else FULL for rope in _no_rope(text, layers)]


def _minimax(text: Config, layers: int) -> list[str]:
    return [FULL if (index + 1) % 2 else LINEAR for index in range(layers)]


def _mimo(text: Config, layers: int) -> list[str]:
    return [FULL if index == 0 or not (index + 1) % 6 else SLIDING for index in range(layers)]


def _olmo_hybrid(text: Config, layers: int) -> list[str]:
    kinds = [FULL if index % 4 == 3 else LINEAR for index in range(layers)]
    return kinds if FULL in kinds else [*kinds[:-1], FULL]


def _jamba(text: Config, layers: int) -> list[str]:
    period = whole(text, "attn_layer_period") or 8
    offset = text.get("attn_layer_offset", 4)
    return [FULL if index % period == offset else LINEAR for index in range(layers)]


def _indices(key: str, others: str, all_where_absent: bool = False) -> Callable[[Config, int], list[str]]:
    """The full layers are listed by index."""

    def kinds(text: Config, layers: int) -> list[str]:
        listed = text.get(key)
        if listed is None and all_where_absent:
            return [FULL] * layers
        chosen = {item for item in listed if isinstance(item, int)} if isinstance(listed, list) else set()
        return [FULL if index in chosen else others for index in range(layers)]

    return kinds


def _zamba(text: Config, layers: int) -> list[str]:
    period = whole(text, "attn_layer_period") or 6
    offset = text.get("attn_layer_offset", 4)
    return [LINEAR, LINEAR, HYBRID][:layers] + [
        HYBRID if index % period == offset else LINEAR for index in range(3, layers)
    ]


def _nemotron(text: Config, layers: int) -> list[str]:
    pattern = text.get("hybrid_override_pattern")
    names = {"M": LINEAR, "E": EMPTY, "*": FULL, "-": EMPTY}
    if not isinstance(pattern, str) or not 0 < len(pattern) <= MAX_LAYERS or set(pattern) - set(names):
        raise NotModelled("hybrid_override_pattern does not name the layers")
    return [names[letter] for letter in pattern]


def _kimi(text: Config, layers: int) -> list[str]:
    part = text.get("linear_attn_config")
    listed = part.get("full_attn_layers") if isinstance(part, dict) else None
    if isinstance(listed, list):
        chosen = {item for item in listed if isinstance(item, int)}
        return [FULL if index + 1 in chosen else LINEAR for index in range(layers)]
    return [FULL if index and index % 4 == 0 else LINEAR for index in range(layers)]


_DERIVED: dict[str, Callable[[Config, int], list[str]]] = {
    **dict.fromkeys(("gemma2", "vaultgemma", "gpt_oss"), _every("", 2, SLIDING)),
    **dict.fromkeys(("gemma3", "gemma3_text"), _every("sliding_window_pattern", 6, SLIDING)),
    **dict.fromkeys(("gemma3n", "gemma3n_text"), _every("", 5, SLIDING)),
    **dict.fromkeys(("gemma4", "gemma4_text"), _gemma4),
    "cohere2": _every("sliding_window_pattern", 4, SLIDING),
    "olmo3": _every("", 4, SLIDING),
    "afmoe": _every("global_attn_every_n_layers", 4, SLIDING),
    **dict.fromkeys(("exaone4", "exaone_moe"), _exaone),
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"),
        _every("full_attention_interval", 4, LINEAR),
    ),
    **dict.fromkeys(("qwen2", "qwen3"), _qwen),
    "qwen2_moe": _qwen2_moe,
    "modernbert-decoder": _modernbert,
    "cwm": _cwm,
    "smollm3": _smollm3,
    **dict.fromkeys(("llama4", "llama4_text"), _llama4),
    "minimax": _minimax,
    "mimo_v2_flash": _mimo,
    "olmo_hybrid": _olmo_hybrid,
    "jamba": _jamba,
    "bamba": _indices("attn_layer_indices", LINEAR),
    "lfm2": _indices("full_attn_idxs", CONV, all_where_absent=True),
    "zamba": _zamba,
    "nemotron_h": _nemotron,
    "kimi_linear": _kimi,
    **dict.fromkeys(("deepseek_v32", "glm_moe_dsa"), _all(INDEXED)),
    **dict.fromkeys(("mamba", "mamba2", "falcon_mamba", "granitemoehybrid"), _all(LINEAR)),
    "falcon_h1": _all(HYBRID),
}
"""Families whose layers differ, and how a config without `layer_types` says which is which."""
