"""Model types whose cache was compared with the library's own cache objects (transformers 5.23)."""

from __future__ import annotations

MAMBA_1 = frozenset({"mamba", "falcon_mamba", "jamba", "zamba"})
MAMBA_2 = frozenset({"mamba2", "bamba", "granitemoehybrid", "falcon_h1", "nemotron_h", "zamba2"})

DECODERS = frozenset({
    "afmoe", "apertus", "arcee", "axk1", "bamba", "biogpt", "bitnet", "bloom", "codegen", "cohere", "cohere2", "ctrl",
    "cwm", "deepseek_v2", "deepseek_v3", "deepseek_v32", "diffllama", "doge", "dots1", "ernie4_5", "ernie4_5_moe",
    "exaone4", "exaone_moe", "falcon", "falcon_h1", "falcon_mamba", "flex_olmo", "gemma", "gemma2", "gemma3",
    "gemma3_text", "gemma3n", "gemma3n_text", "gemma4", "gemma4_text", "glm", "glm4", "glm4_moe", "glm4_moe_lite",
    "glm_moe_dsa", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_neox_japanese", "gpt_oss", "gptj", "granite",
    "granitemoe", "granitemoehybrid", "granitemoeshared", "helium", "hunyuan_v1_dense", "hunyuan_v1_moe", "hy_v3",
    "internlm3", "jais2", "jamba", "jetmoe", "kimi_linear", "lfm2", "lfm2_moe", "llama", "llama4", "llama4_text",
    "longcat_flash", "mamba", "mamba2", "mimo_v2_flash", "minicpm3", "minimax", "minimax_m2", "ministral", "ministral3",
    "mistral", "mixtral", "modernbert-decoder", "mpt", "nanochat", "nemotron", "nemotron_h", "olmo", "olmo2", "olmo3",
    "olmo_hybrid", "olmoe", "opt", "persimmon", "phi", "phi3", "phimoe", "qwen2", "qwen2_moe", "qwen3", "qwen3_5",
    "qwen3_5_text", "qwen3_moe", "qwen3_next", "seed_oss", "smollm3", "solar_open", "stablelm", "starcoder2",
    "vaultgemma", "xglm", "youtu", "zamba", "zamba2",
})  # fmt: skip

ENCODER_DECODERS = frozenset({
    "bart", "blenderbot", "blenderbot-small", "longt5", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5", "umt5",
    "whisper",
})  # fmt: skip

ENCODERS = frozenset({
    "albert", "bert", "camembert", "data2vec-text", "deberta", "deberta-v2", "distilbert", "electra", "ernie",
    "layoutlm", "layoutlmv3", "longformer", "mobilebert", "modernbert", "mpnet", "nomic_bert", "roberta",
    "roberta-prelayernorm", "roformer", "splinter", "squeezebert", "xlm-roberta", "xlm-roberta-xl",
    "audio-spectrogram-transformer", "beit", "clip", "clip_vision_model", "convnext", "convnextv2", "data2vec-audio",
    "data2vec-vision", "deit", "detr", "dinov2", "dinov3_vit", "dpt", "hubert", "resnet", "segformer", "siglip",
    "siglip2", "siglip_vision_model", "swin", "swinv2", "unispeech", "vit", "vit_mae", "wav2vec2", "wav2vec2-bert",
    "wavlm", "yolos",
})  # fmt: skip
"""Families without a decoder: they keep nothing between passes."""
