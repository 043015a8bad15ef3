"""Builds `tui/core/families.json.gz`: the tensor names that each model class of transformers stores, digits as `*`.

`python -m tests.builders.families` builds every class of the auto mappings on the meta device, at its default config
and with each switch of that config turned, and writes which names are there always and which sometimes.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from tests.conformance.run import classes

TARGET = Path(__file__).parents[2] / "tui" / "core" / "families.json.gz"
_LAYERS = 8
_DIGITS = re.compile(r"(?<![^.])\d+(?![^.])")


def stored_names(cls: Any, config: Any) -> tuple[set[str], set[str]]:
    """(patterns of what `save_pretrained` stores, patterns of tied copies that it leaves out)."""
    with torch.device("meta"):
        model = cls(config)
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    state = model.state_dict()
    kept = {name: value for name, value in state.items() if name not in tied}
    named = set(revert_weight_conversion(model, dict(kept)))
    copies = {name for name in state if name in tied}
    return {_DIGITS.sub("*", name) for name in named}, {_DIGITS.sub("*", name) for name in copies}


def variants(config_class: Any) -> list[dict[str, Any]]:
    """Keyword arguments of the configs to build: the default, and each switch turned."""
    plain = config_class()
    layers: dict[str, Any] = {
        name: _LAYERS
        for name in ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
        if isinstance(getattr(plain, name, None), int) and getattr(plain, name) > _LAYERS
    }
    switches = [key for key, value in plain.to_dict().items() if isinstance(value, bool)]
    turned = [
        {**layers, key: not getattr(plain, key)}
        for key in switches
        if not key.startswith(("output_", "use_cache", "return_"))
    ]
    if {"embedding_size", "hidden_size"} <= set(plain.to_dict()):
        turned.append({**layers, "embedding_size": plain.hidden_size})
    if "feed_forward_proj" in plain.to_dict():
        turned.append({**layers, "feed_forward_proj": "gated-gelu"})
    return [layers, *turned]


def family(model_type: str, name: str) -> tuple[set[str], set[str]] | None:
    """(patterns that every variant stores, patterns that some store) of one class, `None` where none builds."""
    try:
        cls, config_class = getattr(transformers, name), CONFIG_MAPPING[model_type]
        tried = variants(config_class)
    except Exception:  # a class that needs an absent package or whose default config is incomplete
        return None
    always: set[str] | None = None
    every: set[str] = set()
    for arguments in tried:
        try:
            stored, copies = stored_names(cls, config_class(**arguments))
        except Exception:  # a switch that the class refuses
            continue
        always = stored if always is None else always & stored
        every |= stored | copies
    return None if always is None else (always, every - always)


def build() -> dict[str, Any]:
    """The index, with each pattern written once."""
    rows = []
    for count, (model_type, name) in enumerate(classes()):
        found = family(model_type, name)
        if found is not None:
            rows.append((getattr(transformers, name).config_class.model_type, name, *found))
        print(f"\r{count} classes, {len(rows)} built", end="", file=sys.stderr)
    patterns = sorted(set().union(*(always | sometimes for _, _, always, sometimes in rows)))
    place = {pattern: number for number, pattern in enumerate(patterns)}
    return {
        "library": f"transformers {transformers.__version__}",
        "patterns": patterns,
        "families": [
            [model_type, name, sorted(place[item] for item in always), sorted(place[item] for item in sometimes)]
            for model_type, name, always, sometimes in rows
        ],
    }


def main() -> int:
    """Write the index; the same library writes the same bytes."""
    transformers.logging.set_verbosity_error()
    data = json.dumps(build(), separators=(",", ":")).encode("utf-8")
    TARGET.write_bytes(gzip.compress(data, 9, mtime=0))
    print(f"\n{TARGET}: {TARGET.stat().st_size:,} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
