from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from tui.core.assemble import read_directory
from tui.core.diagnosis.evidence import Evidence
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from pathlib import Path

ODD: list[Any] = [None, True, -1, 10**30, 0.5, "", "x" * 300, "../x", "\ud800", "a\0b", [], [[]], {}, {"a": None}]
KEYS = {
    "adapter_config.json": ["r", "target_modules", "rank_pattern", "base_model_name_or_path"],
    "model_index.json": ["unet", "../x", "_class_name", "vae"],
    "modules.json": ["path", "type", "idx"],
    "model.json": ["weightsManifest", "format"],
    "Manifest.json": ["itemInfoEntries"],
    "config.json": ["quantization_config", "compression_config", "model_type"],
    "quantize_config.json": ["bits", "group_size"],
}


def _group(chance: random.Random) -> dict[str, Any]:
    """A group of TensorFlow.js's manifest with odd parts."""
    return {"paths": _value(chance), "weights": [{"name": "w", "shape": _value(chance), "dtype": _value(chance)}]}


def _value(chance: random.Random, depth: int = 0) -> Any:
    if depth > 2 or chance.random() < 0.5:
        return chance.choice(ODD)
    if chance.random() < 0.5:
        return [_value(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    names = [name for keys in KEYS.values() for name in keys] + ["paths", "weights", "name", "shape", "quant_method"]
    return {chance.choice(names): _value(chance, depth + 1) for _ in range(chance.randint(0, 3))}


def test_odd_values_in_the_indexes_of_layouts_are_answered(tmp_path: Path) -> None:
    """Each document alone and all rules over it: nothing raises, and no rule has to be left out."""
    for seed in range(1400):
        chance = random.Random(seed)
        name = chance.choice(sorted(KEYS))
        root = tmp_path / str(seed)
        root.mkdir()
        document: Any = {key: _value(chance) for key in KEYS[name]}
        if name == "model.json" and chance.random() < 0.7:
            document["weightsManifest"] = [_group(chance)]
        if name == "modules.json" or chance.random() < 0.1:
            document = [document, _value(chance)]
        (root / name).write_text(json.dumps(document), "utf-8")
        found = triage_of(Evidence(read_directory(root, str(root)), packages={"transformers": "5.23.0"})).findings
        failed = [item for item in found if item.title == "A check could not be made"]
        assert not failed, (seed, document, failed)
