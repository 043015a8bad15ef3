"""Edits of a config as its own class understands them: aliases, per-layer lists, labels, keys it does not know.

`attribute_map` (transformers `configuration_utils.py`) gives many fields a second name. With both names in the file one
is ignored in silence, and which one differs by class: an edit goes to the name that is in the file.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import inspect
import json
from typing import Any

from ckptriage_worker.libraries import transformers

LAYER_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_LABELS = ("num_labels", "id2label", "label2id")
_LEGACY = frozenset(
    {
        "architectures", "auto_map", "model_type", "transformers_version", "torch_dtype", "dtype",
        "quantization_config", "num_labels", "id2label", "label2id", "use_cache", "use_return_dict",
        "attn_implementation", "pruned_heads", "tie_encoder_decoder", "torchscript", "use_bfloat16", "tf_legacy_loss",
        "gradient_checkpointing", "task_specific_params", "finetuning_task", "problem_type", "prefix",
        "transformers_weights", "custom_pipelines", "tokenizer_class", "is_decoder", "is_encoder_decoder",
        "cross_attention_hidden_size", "add_cross_attention", "chunk_size_feed_forward", "output_attentions",
        "output_hidden_states", "return_dict", "pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id",
        "decoder_start_token_id", "output_past", "unsloth_version", "unsloth_fixed", "xla_device", "sliding_window",
        "tie_word_embeddings", "sentence_transformers", "text_config", "vision_config", "audio_config",
    }
)  # fmt: skip
"""Keys of configs of every age that every class takes, or that a library writes and nobody reads."""


def apply(request: dict[str, Any], name: str, answer: dict[str, Any]) -> None:
    """Put the request's `changes` into its `values` and `config`; tell in the answer what came of them."""
    values = request.get("values") or {}
    config_class = class_of(name, values)
    changes = request.get("changes")
    if changes:
        values, notes = changed(values, changes, config_class)
        request["values"] = values
        request["config"] = json.dumps(values, indent=2) + "\n"
        answer["edited"] = values
        answer["edit_notes"] = notes
    own = config_class is not None and values.get("model_type") in (None, getattr(config_class, "model_type", None))
    if own:
        answer["unknown_fields"] = unknown(values, config_class)


def class_of(name: str, values: dict[str, Any]) -> Any:
    """The config class that the model class reads, or the one of the model type; `None` where neither is known."""
    library = transformers()
    try:
        cls = getattr(library, name, None) if name.isidentifier() else None
        found = getattr(cls, "config_class", None)
        if found is not None:
            return found
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        return CONFIG_MAPPING[values.get("model_type")]
    except Exception:  # unknown model type, or a module that needs an absent package
        return None


def changed(values: dict[str, Any], changes: dict[str, Any], config_class: Any) -> tuple[dict[str, Any], list[str]]:
    """`values` with dotted keys set as `config_class` means them, and a sentence for each thing done besides."""
    out = copy.deepcopy(values)
    notes: list[str] = []
    for key, value in changes.items():
        part, cls = out, config_class
        *path, last = key.split(".")
        for step in path:
            inner = part.get(step)
            if not isinstance(inner, dict):
                inner = part[step] = {}
            part = inner
            cls = (getattr(cls, "sub_configs", None) or {}).get(step)
        _set(part, last, value, cls, notes)
    return out, notes


def _set(part: dict[str, Any], key: str, value: Any, cls: Any, notes: list[str]) -> None:
    """Set one value under the name that is in the file, with what hangs on it."""
    place = spelled(part, key, cls)
    if place != key:
        notes.append(f"{key} is {place} in this file")
    if key == "num_labels" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100_000:
        relabel(part, value)
        return
    real = (getattr(cls, "attribute_map", None) or {}).get(place, place)
    if place in LAYER_COUNTS or real in LAYER_COUNTS:
        notes.extend(resize_layers(part, part.get(place), value))
    part[place] = value
    if cls is not None and place not in known(cls):
        close = _close(place, known(cls))
        notes.append(f"{cls.__name__} has no field {place}" + (f"; meant {close}?" if close else ""))


def spelled(part: dict[str, Any], key: str, cls: Any) -> str:
    """The name under which the file has this field."""
    if key in part:
        return key
    aliases = getattr(cls, "attribute_map", None) or {}
    real = aliases.get(key, key)
    if real in part:
        return str(real)
    return next((alias for alias, target in aliases.items() if target == real and alias in part), key)


def relabel(part: dict[str, Any], count: int) -> None:
    """`id2label` and `label2id` of `count` labels, known names kept; `num_labels` would contradict them."""
    old = part.get("id2label")
    names = old if isinstance(old, dict) else {}
    labels = {str(number): str(names.get(str(number), f"LABEL_{number}")) for number in range(count)}
    part.pop("num_labels", None)
    part["id2label"] = labels
    part["label2id"] = {label: int(number) for number, label in labels.items()}


def resize_layers(part: dict[str, Any], old: Any, new: Any) -> list[str]:
    """Lists with an entry a layer follow the layer count, in their own rhythm; the class insists on it."""
    if not isinstance(new, int) or isinstance(new, bool) or not 0 < new <= 20_000:
        return []
    notes = []
    for key, entries in part.items():
        per_layer = isinstance(entries, list) and ("layer" in key or "block" in key) and len(entries) > 0
        if per_layer and len(entries) == old and len(entries) != new:
            part[key] = continued(entries, new)
            notes.append(f"{key} was resized to {new} entries")
    return notes


def continued(entries: list[Any], count: int) -> list[Any]:
    """`entries` cut to `count`, or continued by their shortest period."""
    if count <= len(entries):
        return entries[:count]
    size = len(entries)
    period = next(step for step in range(1, size + 1) if all(entries[i] == entries[i % step] for i in range(size)))
    return [entries[place % period] for place in range(count)]


_KNOWN: dict[Any, frozenset[str]] = {}


def known(cls: Any) -> frozenset[str]:
    """Every key that a config class takes: fields, constructor arguments, aliases, what its bases read."""
    if cls not in _KNOWN:
        names = set(_LEGACY)
        if dataclasses.is_dataclass(cls):
            names |= {field.name for field in dataclasses.fields(cls)}
        for base in cls.__mro__:
            names |= set(getattr(base, "__annotations__", {}))
            if "__init__" in vars(base):
                names |= set(inspect.signature(base.__init__).parameters)
        aliases = getattr(cls, "attribute_map", None) or {}
        names |= set(aliases) | set(aliases.values()) | set(getattr(cls, "sub_configs", None) or {})
        names |= {
            name
            for name in dir(cls)
            if not name.startswith("_") and isinstance(getattr(cls, name, None), (int, float, str, list, dict))
        }
        names |= set(transformers().GenerationConfig().to_dict()) | _derived(cls)
        _KNOWN[cls] = frozenset(names)
    return _KNOWN[cls]


def _derived(cls: Any) -> set[str]:
    """Attributes that the constructor derives and `to_dict` writes: they come back with every saved config."""
    try:
        return set(cls().to_dict())
    except Exception:  # a class without usable defaults
        return set()


def unknown(values: dict[str, Any], cls: Any, prefix: str = "") -> list[list[str]]:
    """`[[dotted key, the field it resembles or ""]]` of keys unknown to the class, which keeps and ignores them."""
    names = known(cls)
    parts = getattr(cls, "sub_configs", None) or {}
    out = []
    for key, value in list(values.items())[:2000]:
        if key in parts and isinstance(value, dict) and not prefix and hasattr(parts[key], "attribute_map"):
            out.extend(unknown(value, parts[key], f"{key}."))
        elif key not in names and not key.startswith("_"):
            out.append([prefix + key, _close(key, names - set(values))])
    return out


def contradictions(values: dict[str, Any], config: Any) -> list[list[Any]]:
    """`[[key, value, other key, other value, value in force]]` of fields that the file names twice, differently."""
    out = []
    for alias, real in (getattr(type(config), "attribute_map", None) or {}).items():
        if alias in values and real in values and values[alias] != values[real]:
            out.append([alias, values[alias], real, values[real], getattr(config, real, None)])
    return out


def _close(key: str, names: Any) -> str:
    """The one field that `key` is a slip of, empty where there is none."""
    public = [name for name in names if not name.startswith("_") and (name not in _LEGACY or name in _LABELS)]
    found = difflib.get_close_matches(key, public, 1, 0.86)
    return found[0] if found else ""
