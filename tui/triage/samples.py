"""Where the gallery lies, and the one sample that is made on the spot because it is larger than the machine."""

from __future__ import annotations

import json
from pathlib import Path

from tui.system.memory import probe

_HERE = Path(__file__).parent.parent


def gallery() -> Path | None:
    """The gallery's directory: package data of a wheel, or beside the package in a repository."""
    for place in (_HERE / "_samples", _HERE.parent / "sample_models"):
        if (place / "README.md").is_file():
            return place
    return None


def make_large(target: Path, size: int | None = None) -> Path:
    """A sparse, valid safetensors checkpoint of one tensor, larger than RAM and swap; takes no space on disk."""
    ram = probe()
    wanted = size or (ram.total or 16 << 30) + (ram.swap_free or 0) + (4 << 30)
    rows = wanted // (4 * 1024) + 1
    target.mkdir(parents=True)
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": rows, "n_embd": 1024, "n_layer": 0,
        "n_head": 16, "n_positions": 8, "dtype": "float32", "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    (target / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    tensors = {"transformer.wte.weight": [rows, 1024], "transformer.wpe.weight": [8, 1024]}
    tensors.update({"transformer.ln_f.weight": [1024], "transformer.ln_f.bias": [1024]})
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors.items():
        count = 4
        for item in shape:
            count *= item
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + count]}
        end += count
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with (target / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return target
