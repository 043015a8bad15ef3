"""Memory of one pass beyond weights and cache: logits, and the working memory of the layers.

The working memory follows `7 x tokens x intermediate size x element size + 5 MB` on the CPU, to which the product with
the output head adds most of the logits once more in 32 bits; single cases lie between 3 and 18 (scratch of oneDNN and
MKL, freed blocks that malloc keeps), which is the band. Errors: tests/benchmarks/MEMORY.md.
"""

from __future__ import annotations

from tui.core.estimate.families import MAMBA_1
from tui.core.estimate.numbers import Config, NotModelled, bounded, text_config, whole
from tui.core.record import Record

_LOW, _CENTRE, _HIGH = 3, 7, 18
_FIXED, _FIXED_HIGH = 5_000_000, 15_000_000
_SINGLE = 4
"""Bytes of a number in single precision."""

_WITH_LOGITS = (
    "ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForMaskedLM", "ForPreTraining", "DoubleHeadsModel",
    "WithLMHeadModel", "MTModel", "ForCTC",
)  # fmt: skip
_IMAGES = frozenset({
    "vit", "deit", "beit", "dinov2", "dinov3_vit", "data2vec-vision", "vit_mae", "siglip_vision_model",
    "clip_vision_model", "yolos",
})  # fmt: skip
_SOUND = frozenset({"wav2vec2", "hubert", "wavlm", "unispeech", "data2vec-audio"})


class Pass(Record, frozen=True):
    """Bytes of one pass; `None` where the architecture is not modelled."""

    logits: int | None
    work: int | None
    low: int | None = None
    high: int | None = None
    reason: str = ""
    before: int = 0
    """Working memory of an encoder that is freed before cache and logits arise."""


def pass_of(config: Config, context: int, batch: int, element: int) -> Pass:
    """One pass over `context` tokens in each of `batch` sequences."""
    try:
        return _pass(config, context, batch, element)
    except NotModelled as error:
        return Pass(None, None, reason=str(error))


def _pass(config: Config, context: int, batch: int, element: int) -> Pass:
    text = text_config(config)
    model_type = str(config.get("model_type") or "")
    tokens = _tokens(config, model_type, context) * batch
    inner = _inner(text)
    if inner is None:
        raise NotModelled("config.json does not say how wide the layers are, so working memory is unknown")
    unit = bounded(tokens * inner * element)
    logits = bounded(context * batch * (_vocabulary(config, text) or 0) * element)
    extra = _front(config, model_type, context) * batch * element + _scan(text, model_type, tokens)
    extra += (logits * 4 // 5 if element == _SINGLE else 0) + (logits if text.get("final_logit_softcapping") else 0)
    before = 0
    if model_type == "whisper":
        before = _CENTRE * bounded((whole(config, "max_source_positions") or 1500) * batch * inner * element) + _FIXED
    return Pass(
        logits,
        _CENTRE * unit + extra + _FIXED,
        _LOW * unit + extra // 2,
        _HIGH * unit + extra * 2 + _FIXED_HIGH,
        before=before,
    )


def _tokens(config: Config, model_type: str, context: int) -> int:
    """Tokens that the layers see: patches of an image, frames of sound, else the text's."""
    if model_type in _IMAGES:
        size, patch = whole(config, "image_size"), whole(config, "patch_size")
        if size is None or patch is None:
            raise NotModelled("config.json does not say how large an image and its patches are")
        return (size // patch) ** 2 + 1
    if config.get("is_encoder_decoder") and model_type != "whisper":
        return 2 * context
    return context


def _front(config: Config, model_type: str, context: int) -> int:
    """Numbers that the layers before the transformer hold at once."""
    if model_type in _SOUND:  # the first convolution makes one frame of every five samples, 320 samples make a token
        channels = config.get("conv_dim")
        width = channels[0] if isinstance(channels, list) and channels and isinstance(channels[0], int) else 512
        return bounded(max(width, 0) * 64 * context * 2)
    return 0


def _scan(text: Config, model_type: str, tokens: int) -> int:
    """Mamba's first version spells its state out for every token, three times over, in 32 bits."""
    if model_type not in MAMBA_1:
        return 0
    inner = whole(text, "intermediate_size", "d_inner") if model_type in ("mamba", "falcon_mamba") else None
    width = inner or 2 * (whole(text, "hidden_size") or 0)
    return bounded(3 * tokens * width * (whole(text, "state_size", "mamba_d_state") or 0) * _SINGLE)


def _inner(text: Config) -> int | None:
    """The width of the widest part of a layer; of experts, those that one token goes through."""
    experts = whole(text, "num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts")
    one = whole(text, "moe_intermediate_size", "expert_ffn_hidden_size")
    dense = whole(text, "intermediate_size", "n_inner", "d_ff", "ffn_dim", "encoder_ffn_dim", "hidden_dim", "d_inner")
    if experts and one:
        return experts * one
    if experts and dense and whole(text, "num_local_experts"):
        return experts * dense
    if dense is not None:
        return dense
    hidden = whole(text, "hidden_size", "n_embd", "d_model", "dim")
    ratio = text.get("mlp_ratio", 4)
    factor = ratio if isinstance(ratio, int | float) and 0 < ratio < 64 else 4
    return int(hidden * factor) if hidden is not None else None


def _vocabulary(config: Config, text: Config) -> int | None:
    """Size of the vocabulary where the named class has a head over it."""
    names = config.get("architectures")
    heads = isinstance(names, list) and any(str(name).endswith(_WITH_LOGITS) for name in names)
    return whole(text, "vocab_size") if heads else None
