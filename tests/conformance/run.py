"""Prediction against a real CPU load of real files, for every class of the auto mappings that builds."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers.models.auto import configuration_auto, modeling_auto

from tests.conformance.damage import DAMAGE
from tui.core.assemble import read_directory
from tui.loading.worker import Worker
from tui.triage.ask import Asker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.compare import Comparison

SMALL: dict[str, int] = {
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32, "embed_dim": 32, "intermediate_size": 48, "d_ff": 48,
    "ffn_dim": 48, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "hidden_dim": 48, "num_hidden_layers": 2,
    "n_layer": 2, "n_layers": 2, "num_layers": 2, "num_decoder_layers": 2, "encoder_layers": 2, "decoder_layers": 2,
    "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 99, "max_position_embeddings": 64,
    "n_positions": 64, "embedding_size": 16, "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4,
    "moe_intermediate_size": 16, "head_dim": 8, "d_kv": 8, "image_size": 32, "patch_size": 8,
}  # fmt: skip
"""Sizes for tiny configs; a class that does not take them is tried with its own, then left out."""

MAX_PARAMETERS = 40_000_000


@dataclass(frozen=True)
class Case:
    """One prediction against one load."""

    model_type: str
    model_class: str
    damage: str
    agrees: bool
    detail: str = ""


def classes() -> Iterator[tuple[str, str]]:
    """(model type, class) of every auto mapping, each class once."""
    seen: set[str] = set()
    for name in sorted(vars(modeling_auto)):
        if not (name.startswith("MODEL_") and name.endswith("_MAPPING_NAMES")):
            continue
        for model_type, found in sorted(getattr(modeling_auto, name).items()):
            for cls in found if isinstance(found, list | tuple) else [found]:
                if isinstance(cls, str) and cls not in seen:
                    seen.add(cls)
                    yield model_type, cls


def sampled(share: float) -> list[tuple[str, str]]:
    """A share of the classes, the same in every run."""

    def place(name: str) -> float:
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32

    return [pair for pair in classes() if place(pair[1]) < share]


def build(model_type: str, name: str) -> Any:
    """A tiny model with random weights, or `None` where it does not build here."""
    try:
        cls = getattr(transformers, name)
        config_class = configuration_auto.CONFIG_MAPPING[model_type]
    except (AttributeError, ImportError, KeyError, RuntimeError):
        return None
    for sizes in (SMALL, {}):
        try:
            plain = config_class()
            known = {key: value for key, value in sizes.items() if hasattr(plain, key)}
            config = config_class(**known)
            with torch.device("meta"):
                count = sum(value.numel() for value in cls(config).parameters())
            if count > MAX_PARAMETERS:
                continue
            torch.manual_seed(0)
            return cls(config)
        except Exception:  # a default config that does not build says nothing about the prediction
            continue
    return None


async def check(pairs: list[tuple[str, str]], done: set[tuple[str, str]]) -> None:
    """Every case of the classes; one worker predicts them all."""
    worker = Worker()
    asker = Asker(worker)

    try:
        for model_type, name in pairs:
            if (name, "nothing") in done:
                continue
            model = build(model_type, name)
            if model is not None:
                yield_cases(await _of_class(asker, model_type, name, model))
    finally:
        await worker.close()


RESULTS: list[Case] = []


def yield_cases(cases: list[Case]) -> None:
    """Collect; the command line replaces this to write as it goes."""
    RESULTS.extend(cases)


async def _of_class(asker: Asker, model_type: str, name: str, model: Any) -> list[Case]:
    out: list[Case] = []
    with tempfile.TemporaryDirectory() as directory:
        saved = Path(directory) / "saved"
        try:
            model.save_pretrained(saved)
        except Exception:  # some classes cannot be saved at their default config
            return out
        if not (saved / "model.safetensors").exists():
            return out
        for damage in DAMAGE:
            place = Path(directory) / damage.__name__
            shutil.copytree(saved, place)
            if damage(place):
                out.append(await _case(asker, model_type, name, place, damage.__name__))
            shutil.rmtree(place)
    return out


async def _case(asker: Asker, model_type: str, name: str, place: Path, damage: str) -> Case:
    loaded_as = name
    if damage == "wrong_class":
        loaded_as = "GPT2LMHeadModel" if model_type == "bert" else "BertForTokenClassification"
    checkpoint = read_directory(place, str(place))
    real = await asyncio.to_thread(_load, loaded_as, place)
    details = []
    for mode in ("live", "audit"):
        predicted = await asker.compare(checkpoint, loaded_as, mode=mode, fields=False, candidates=False)
        ours = _answer(predicted, with_sets=real["missing"] is not None)
        if ours != real:
            details.append(f"{mode}: {_difference(ours, real)}")
    detail = "; ".join(details)
    return Case(model_type, name, damage, not detail, detail)


def _answer(predicted: Comparison, with_sets: bool) -> dict[str, Any]:
    """The exception and the sets; no sets where the real load gave none."""
    return {
        "error": predicted.error[0] if predicted.error else None,
        "missing": sorted(predicted.missing) if with_sets else None,
        "unexpected": sorted(predicted.unexpected) if with_sets else None,
        "mismatched": sorted([item.key, list(item.checkpoint), list(item.model)] for item in predicted.mismatched)
        if with_sets
        else None,
    }


def _load(name: str, place: Path) -> dict[str, Any]:
    """The plain call's exception, and the sets of the call that ignores mismatched sizes."""
    cls = getattr(transformers, name)
    error: str | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cls.from_pretrained(place)
        except Exception as raised:
            error = type(raised).__name__
        try:
            _, info = cls.from_pretrained(place, ignore_mismatched_sizes=True, output_loading_info=True)
        except Exception:  # nothing was returned, so there are no sets to compare
            return {"error": error, "missing": None, "unexpected": None, "mismatched": None}
    return {
        "error": error,
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "mismatched": sorted([item[0], list(item[1]), list(item[2])] for item in info["mismatched_keys"]),
    }


def _difference(ours: dict[str, Any], real: dict[str, Any]) -> str:
    parts = []
    for key, value in ours.items():
        if value != real[key]:
            parts.append(f"{key}: predicted {_short(value)}, real {_short(real[key])}")
    return "; ".join(parts)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} {value[:2]}"
    return str(value)


def as_line(case: Case) -> str:
    """A case as one line of JSON."""
    return json.dumps(asdict(case))
