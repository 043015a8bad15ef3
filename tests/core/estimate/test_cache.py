from __future__ import annotations

import json
from typing import Any

import pytest

from tui.core.estimate.cache import cache_bytes
from tui.core.estimate.families import DECODERS, ENCODER_DECODERS, ENCODERS
from tui.core.estimate.layers import layer_kinds
from tui.core.estimate.numbers import NotModelled

LLAMA: dict[str, Any] = {
    "model_type": "llama", "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "hidden_size": 4096,
}  # fmt: skip
SAMPLE = (
    "llama", "gemma3_text", "mistral", "deepseek_v3", "qwen3_next", "mamba", "mamba2", "falcon_h1", "lfm2",
    "gpt_bigcode", "gemma4_text", "t5", "bert", "llama4_text", "jamba",
)  # fmt: skip


@pytest.mark.loader
@pytest.mark.parametrize("family", SAMPLE)
def test_the_cache_is_exact_to_the_byte(family: str) -> None:
    from tests.builders.tiny_models import build, cached_bytes

    model = build(family)
    config = json.loads(model.config.to_json_string())
    for batch, tokens in ((2, 21), (1, 7), (1, 1)):
        assert cache_bytes(config, tokens, batch, 2).bytes == cached_bytes(model, batch, tokens), (batch, tokens)


@pytest.mark.loader
def test_whisper_keeps_its_whole_source() -> None:
    import torch
    import transformers

    from tests.builders.tiny_models import held_bytes

    config = transformers.WhisperConfig(
        d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=96, decoder_ffn_dim=96, vocab_size=128, max_source_positions=50, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        output = model(torch.zeros(1, 80, 100), decoder_input_ids=torch.full((1, 9), 5))
    assert cache_bytes(json.loads(config.to_json_string()), 9, 1, 4).bytes == held_bytes(output.past_key_values)


_WITHOUT = (
    "gemma2", "gemma3_text", "cohere2", "gpt_oss", "olmo3", "afmoe", "qwen3_next", "qwen2", "exaone4", "minimax",
    "modernbert-decoder", "cwm", "olmo_hybrid", "smollm3", "mimo_v2_flash", "kimi_linear", "llama4_text", "vaultgemma",
    "deepseek_v32",
)  # fmt: skip


@pytest.mark.loader
@pytest.mark.parametrize("family", _WITHOUT)
def test_configs_of_before_layer_types_mean_what_the_library_makes_of_them(family: str) -> None:
    from transformers.cache_utils import get_layer_types_and_kwargs

    from tests.builders.tiny_models import CHANGES, config_of

    changed = {key: None for key in CHANGES.get(family, {}) if key == "layer_types"}
    config = config_of(family, num_hidden_layers=13, **changed)
    values = {key: value for key, value in json.loads(config.to_json_string()).items() if key != "layer_types"}
    assert layer_kinds(values, family) == get_layer_types_and_kwargs(config)[0]


def test_a_hub_config_of_a_family_with_an_unused_window_is_full_attention() -> None:
    config = {**LLAMA, "model_type": "qwen2", "sliding_window": 64, "use_sliding_window": False, "max_window_layers": 0}
    assert cache_bytes(config, 1000, 1, 2).bytes == cache_bytes(LLAMA, 1000, 1, 2).bytes == 1000 * 32 * 2 * 8 * 128 * 2


def test_what_is_not_modelled_is_unknown_with_a_reason() -> None:
    for config, words in (
        ({**LLAMA, "model_type": "recurrent_gemma"}, "recurrent_gemma"),
        ({"num_hidden_layers": 2}, "without model_type"),
        ({**LLAMA, "layer_types": ["full_attention", "something_new"]}, "something_new"),
        ({**LLAMA, "num_attention_heads": None, "num_key_value_heads": None}, "num_attention_heads"),
        ({**LLAMA, "model_type": "gemma2"}, "sliding_window"),
    ):
        found = cache_bytes(config, 10, 1, 2)
        assert found.bytes is None
        assert words in found.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 1 << 62}, {"num_hidden_layers": -1}, {"num_hidden_layers": True},
        {"num_hidden_layers": "32"}, {"num_hidden_layers": 1e9}, {"num_key_value_heads": 1 << 31, "head_dim": 1 << 31},
        {"layer_types": ["full_attention"] * 5000}, {"layer_types": []}, {"layer_types": [[]]},
        {"per_layer_config": {str(index): {} for index in range(33)}}, {"per_layer_config": {"x": {}}},
        {"per_layer_config": {"0": {"head_dim": "wide"}, "1": {"head_dim": 1 << 40}}}, {"head_dim": 0},
    ],
)  # fmt: skip
def test_absurd_configs_are_bounded(changes: dict[str, Any]) -> None:
    found = cache_bytes({**LLAMA, **changes}, 1 << 24, 1 << 20, 2)
    assert found.bytes is None or 0 <= found.bytes <= 1 << 60


def test_an_encoder_keeps_none_and_a_decoder_made_of_one_is_not_guessed() -> None:
    assert cache_bytes({**LLAMA, "model_type": "bert"}, 512, 1, 4).bytes == 0
    assert cache_bytes({**LLAMA, "model_type": "bert", "is_decoder": True}, 512, 1, 4).bytes is None


def test_no_family_is_in_two_lists() -> None:
    assert not DECODERS & ENCODERS
    assert not DECODERS & ENCODER_DECODERS
    with pytest.raises(NotModelled):
        layer_kinds({}, "llama")
