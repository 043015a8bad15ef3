"""What the environment's own AutoTokenizer makes of a directory: class, size, ids, and a sentence cut to tokens."""

from __future__ import annotations

from typing import Any

from ckptriage_worker.libraries import error_of, transformers


def load(request: dict[str, Any]) -> dict[str, Any]:
    """`{class, length, vocab_size, special_ids, tokens, ids}` or `{error}`; never runs remote code."""
    library = transformers()
    path = request["path"]
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        return {"error": error_of(error)}
    answer = {
        "class": type(tokenizer).__name__,
        "length": len(tokenizer),
        "vocab_size": getattr(tokenizer, "vocab_size", None),
        "fast": bool(getattr(tokenizer, "is_fast", False)),
        "special_ids": _special(tokenizer),
        "unknown_token": getattr(tokenizer, "unk_token", None),
    }
    text = request.get("text")
    if text:
        try:
            ids = tokenizer(text)["input_ids"]
            answer["ids"] = ids
            answer["tokens"] = tokenizer.convert_ids_to_tokens(ids)
        except Exception as error:
            answer["text_error"] = error_of(error)
    return answer


def _special(tokenizer: Any) -> dict[str, Any]:
    """Ids of the special tokens that are set."""
    out = {}
    for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"):
        try:
            value = getattr(tokenizer, name + "_token_id", None)
        except Exception:
            continue
        if value is not None:
            out[name + "_token"] = value
    return out
