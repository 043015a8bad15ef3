"""The measured process: imports, then loads, then runs one pass, waiting for a line before each."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def inputs_of(model: Any, tokens: int) -> dict[str, Any]:
    """One input of the kind that the model takes: text, pixels or samples."""
    import torch

    name = model.main_input_name
    config = model.config
    if name == "pixel_values":
        size = config.image_size
        shape = (1, config.num_channels, size, size)
        return {"pixel_values": torch.zeros(shape, dtype=model.dtype)}
    if name == "input_features":
        features = torch.zeros((1, config.num_mel_bins, 2 * config.max_source_positions), dtype=model.dtype)
        return {"input_features": features, "decoder_input_ids": torch.full((1, tokens), 5)}
    if name == "input_values":
        return {"input_values": torch.zeros((1, tokens * 320 + 80), dtype=model.dtype)}
    ids = torch.arange(5, 5 + tokens).unsqueeze(0) % 900 + 5
    return {"input_ids": ids, **({"decoder_input_ids": ids} if config.is_encoder_decoder else {})}


def main() -> None:
    """Follow the parent: each phase begins with a line on stdin and ends with one on stdout."""
    request = json.loads(sys.argv[1])
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    library = request["loader"] == "from_pretrained"
    cls: Any = getattr(transformers, request["class"]) if library else None
    _step("ready")
    if library:
        keywords = {} if request["dtype"] == "auto" else {"dtype": getattr(torch, request["dtype"])}
        model = cls.from_pretrained(request["path"], **keywords)
    else:
        model = torch.load(request["path"], weights_only=True)
    _step("loaded")
    if request["tokens"]:
        inputs = inputs_of(model, request["tokens"])
        with torch.no_grad():
            output = model(**inputs)
        del output
    _step("ran")


def _step(word: str) -> None:
    print(word, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
