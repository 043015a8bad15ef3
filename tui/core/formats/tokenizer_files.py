"""Tokenizer files, as far as they tell without the library: vocabulary size, highest id, casing, special tokens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from tui.core.checkpoint import Tokenizer
from tui.core.files import FileProblem, open_regular, read_small
from tui.core.json_text import parse
from tui.core.problems import Problem
from tui.core.record import replace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKENIZER_FILES = frozenset(
    {
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
        "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model",
        "tekken.json", "chat_template.jinja",
    }
)  # fmt: skip
"""Names by which a directory shows that a tokenizer was saved with the model."""

_VOCABULARIES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
    "spm.model", "tekken.json",
)  # fmt: skip
_MAX = 64 << 20


def read_tokenizer(root: Path, entries: frozenset[str]) -> Tokenizer:
    """What the tokenizer files of `root` say; a file that does not parse becomes a problem."""
    files = tuple(sorted(name for name in entries if name in TOKENIZER_FILES or name.endswith((".model", ".tiktoken"))))
    vocabulary = tuple(name for name in files if name in _VOCABULARIES or name.endswith((".model", ".tiktoken")))
    problems: list[Problem] = []
    config = _mapping(root, "tokenizer_config.json", entries, problems)
    held = _vocabulary(root, entries, problems)
    tokens, lowercases = held.tokens, held.lowercases
    for name in ("added_tokens.json",):
        if tokens is not None:
            added = _mapping(root, name, entries, problems)
            tokens.update({key: value for key, value in added.items() if isinstance(value, int)})
    _add_decoder(config, tokens)
    digest = _digest(root, files)
    if lowercases is None and isinstance(config.get("do_lower_case"), bool):
        lowercases = config["do_lower_case"]
    summary = _summary(files, vocabulary, config, tokens, lowercases, problems)
    return replace(summary, digest=digest, merges_are_pairs=held.merges_are_pairs)


def _digest(root: Path, files: tuple[str, ...]) -> str:
    """Identity of the files' content; a large file counts by size and time."""
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    for name in files:
        digest.update(name.encode("utf-8", "surrogateescape"))
        try:
            with open_regular(root / name, name) as file:
                large = file.size > 1 << 22
                digest.update(f"{file.size} {file.modified}".encode() if large else file.read(0, file.size))
        except FileProblem:
            digest.update(b"unreadable")
    return digest.hexdigest()


def _summary(
    files: tuple[str, ...],
    vocabulary: tuple[str, ...],
    config: dict[str, Any],
    tokens: dict[str, int] | None,
    lowercases: bool | None,
    problems: list[Problem],
) -> Tokenizer:
    known = tokens or {}
    highest = sorted(known.items(), key=lambda item: -item[1])[:5]
    words = [token.removeprefix("##").lstrip("▁Ġ") for token in known if not token.startswith(("[", "<"))]
    upper = sum(1 for word in words if word != word.lower())
    letters = sum(1 for word in words if word.isalpha() and word == word.lower())
    name = config.get("tokenizer_class")
    return Tokenizer(
        files=files,
        vocabulary=vocabulary,
        size=len(known) if tokens is not None else None,
        max_id=highest[0][1] if highest else None,
        max_token=highest[0][0] if highest else "",
        tokenizer_class=name if isinstance(name, str) else "",
        lowercases=lowercases,
        upper_words=upper,
        lower_words=letters,
        special_ids=_special_ids(config, known),
        beyond=tuple(highest),
        config=config,
        problems=tuple(problems),
    )


def _special_ids(config: dict[str, Any], tokens: dict[str, int]) -> dict[str, int]:
    """Ids of the special tokens that tokenizer_config.json names."""
    out: dict[str, int] = {}
    for role in ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"):
        value = config.get(role)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str) and text in tokens:
            out[role] = tokens[text]
    return out


def _mapping(root: Path, name: str, entries: frozenset[str], problems: list[Problem]) -> dict[str, Any]:
    """A JSON object from a file of the directory; empty where absent or broken."""
    if name not in entries:
        return {}
    data = _bytes(root, name, problems)
    if data is None:
        return {}
    document = parse(data)
    if document.error is not None:
        problems.append(Problem("tokenizer-json-invalid", f"is no valid JSON: {document.error.message}", name))
        return {}
    return document.value if isinstance(document.value, dict) else {}


def _bytes(root: Path, name: str, problems: list[Problem]) -> bytes | None:
    try:
        return read_small(root / name, name, _MAX)
    except FileProblem as problem:
        problems.append(problem.problem)
        return None


class _Vocabulary(NamedTuple):
    """What the first vocabulary that can be read tells; `None` where it does not."""

    tokens: dict[str, int] | None = None
    lowercases: bool | None = None
    merges_are_pairs: bool = False


def _vocabulary(root: Path, entries: frozenset[str], problems: list[Problem]) -> _Vocabulary:
    """Tokens and ids from the first vocabulary that can be read."""
    if "tokenizer.json" in entries:
        value = _mapping(root, "tokenizer.json", entries, problems)
        if value:
            return _from_tokenizer_json(value)
    for name, reader in _READERS:
        if name in entries and os.path.isfile(root / name):
            data = _bytes(root, name, problems)
            return _Vocabulary(reader(data) if data is not None else None)
    return _Vocabulary()


def _from_tokenizer_json(value: dict[str, Any]) -> _Vocabulary:
    """The fast tokenizer's own file: model vocabulary (a map, or unigram's list) and added tokens."""
    model = value.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    tokens: dict[str, int] | None = None
    if isinstance(vocab, dict):
        tokens = {key: number for key, number in vocab.items() if isinstance(number, int)}
    elif isinstance(vocab, list):
        pairs = enumerate(vocab)
        tokens = {
            item[0]: index for index, item in pairs if isinstance(item, list) and item and isinstance(item[0], str)
        }
    added = value.get("added_tokens")
    for item in added if isinstance(added, list) else []:
        if tokens is not None and isinstance(item, dict) and isinstance(item.get("id"), int):
            tokens[str(item.get("content"))] = item["id"]
    merges = model.get("merges") if isinstance(model, dict) else None
    by_two = isinstance(merges, list) and bool(merges) and isinstance(merges[0], list)
    return _Vocabulary(tokens, _lowercases(value.get("normalizer")), by_two)


def _lowercases(normalizer: Any, depth: int = 0) -> bool | None:
    """Whether a normalizer lower-cases; `None` where it does not say."""
    if not isinstance(normalizer, dict) or depth > 4:
        return None
    if normalizer.get("type") == "Lowercase":
        return True
    if isinstance(normalizer.get("lowercase"), bool):
        return bool(normalizer["lowercase"])
    for part in normalizer.get("normalizers") or []:
        if (answer := _lowercases(part, depth + 1)) is not None:
            return answer
    return None


def _from_lines(data: bytes) -> dict[str, int] | None:
    lines = data.decode("utf-8", "replace").splitlines()
    return {line.rstrip("\r\n"): number for number, line in enumerate(lines)} or None


def _from_json(data: bytes) -> dict[str, int] | None:
    value = parse(data).value
    return {key: item for key, item in value.items() if isinstance(item, int)} if isinstance(value, dict) else None


_READERS: tuple[tuple[str, Callable[[bytes], dict[str, int] | None]], ...] = (
    ("vocab.txt", _from_lines),
    ("vocab.json", _from_json),
)


def _add_decoder(config: dict[str, Any], tokens: dict[str, int] | None) -> None:
    """Tokens that tokenizer_config.json adds by id."""
    decoder = config.get("added_tokens_decoder")
    if tokens is None or not isinstance(decoder, dict):
        return
    for number, item in decoder.items():
        if isinstance(item, dict) and isinstance(item.get("content"), str) and str(number).isdigit():
            tokens[item["content"]] = int(number)
