from __future__ import annotations

from typing import Any

import pytest

from tui.core.estimate.placement import automatic, tree_of

MIB = 1 << 20

MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {
        "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 24, "num_attention_heads": 16,
        "vocab_size": 32000}),
    "qwen2 tied": ("Qwen2ForCausalLM", "Qwen2Config", {
        "hidden_size": 896, "intermediate_size": 2432, "num_hidden_layers": 12, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 50000, "tie_word_embeddings": True}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"n_embd": 768, "n_layer": 12, "n_head": 12}),
    "bert": ("BertForSequenceClassification", "BertConfig", {"num_hidden_layers": 12}),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 16, "num_attention_heads": 16}),
    "vit": ("ViTForImageClassification", "ViTConfig", {}),
    "t5": ("T5ForConditionalGeneration", "T5Config", {"d_model": 512, "num_layers": 6, "vocab_size": 32128}),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {
        "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 8,
        "num_key_value_heads": 2, "num_local_experts": 4}),
}  # fmt: skip

LIMITS: tuple[tuple[tuple[float, ...], float], ...] = (
    ((24,), 8), ((1, 1), 8), ((0.5, 0.5), 8), ((0.25, 1, 0.25), 8), ((0.3, 0.3, 0.3, 0.3), 8), ((0.2, 0.15), 0.3),
    ((0.1,), 8), ((0.12, 0.12), 0.2),
)  # fmt: skip
"""(GPUs, RAM), as shares of the model's size."""


def _by_device(mapping: dict[str, Any], sizes: dict[str, int]) -> dict[str, int]:
    """Bytes of the model's tensors on each device of accelerate's map."""
    out: dict[str, int] = {}
    for name, size in sizes.items():
        owner = max((key for key in mapping if key in ("", name) or name.startswith(key + ".")), key=len)
        device = mapping[owner]
        shown = f"cuda:{device}" if isinstance(device, int) else str(device)
        out[shown] = out.get(shown, 0) + size
    return {device: size for device, size in out.items() if size}


@pytest.mark.loader
@pytest.mark.filterwarnings("ignore:Current model requires")
@pytest.mark.parametrize("name", MODELS)
def test_the_map_is_accelerates(name: str) -> None:
    import torch
    import transformers
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    cls, config, values = MODELS[name]
    with torch.device("meta"):
        model = getattr(transformers, cls)(getattr(transformers, config)(**values)).to(torch.bfloat16)
    model.tie_weights()
    sizes = {key: item.numel() * item.element_size() for key, item in model.named_parameters()}
    total = sum(sizes.values())
    for gpus, ram in LIMITS:
        memory: dict[Any, int] = {index: int(share * total) for index, share in enumerate(gpus)}
        memory["cpu"] = int(ram * total)
        limits = dict(memory)
        if len(gpus) == 1:  # what it does to a single GPU whose memory it looks up itself
            limits[0] = int(limits[0] * 0.9)
        split = list(model._no_split_modules)
        lowered = get_balanced_memory(model, limits, no_split_module_classes=split)
        truth = _by_device(infer_auto_device_map(model, lowered, no_split_module_classes=split), sizes)
        shuffled = sorted(sizes.items())
        free = [(f"cuda:{index}", memory[index]) for index in range(len(gpus))]
        ours = {part.device: part.bytes for part in automatic(shuffled, free, memory["cpu"], model.config.model_type)}
        assert ours == truth, (gpus, ram)


def test_hostile_names_are_only_names() -> None:
    deep = ".".join(["a"] * 5000)
    names = [deep, "", ".", "..", "0", "0.0", "layers.²", "layers.１", "x" * 10000, deep]
    root = tree_of((name, 10) for name in names)
    assert root.size == 100
    parts = automatic(((name, 10) for name in names), [("cuda:0", 55), ("cuda:1", 50)], 30)
    assert sum(part.bytes for part in parts) <= 100


def test_nothing_fits_nowhere_without_a_word() -> None:
    parts = automatic([("model.layers.0.a.weight", 50), ("model.layers.1.a.weight", 50)], [("cuda:0", 10)], None)
    assert [(part.device, part.bytes) for part in parts] == [("disk", 100)]
