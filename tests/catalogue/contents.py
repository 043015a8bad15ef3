"""Tokenizers, pickles and versions."""

from __future__ import annotations

import json
import pathlib
import pickle
from typing import TYPE_CHECKING, Any

from tests.catalogue.case import Case, archive, config, copy, file, pickled, steps, tensors, without

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.catalogue.case import Build

NER, PLAIN, ZIP = copy("bert-ner"), copy("bert-model-only"), copy("bert-ner-zip-bin")
PIECES = b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02" * 20
SEES = {"vision_config": {"hidden_size": 8}}


def edited(name: str, change: Callable[[Any], None]) -> Build:
    """A JSON file changed in place."""

    def build(root: Path) -> None:
        value = json.loads((root / name).read_text("utf-8"))
        change(value)
        (root / name).write_text(json.dumps(value), "utf-8")

    return build


def tokenizer_config(**changes: Any) -> Build:
    return edited("tokenizer_config.json", lambda value: value.update(changes))


def fewer_rows(count: int) -> Build:
    """An embedding, and a config to go with it, of fewer rows than the tokenizer has tokens."""

    def change(state: dict[str, Any]) -> dict[str, Any]:
        name = "bert.embeddings.word_embeddings.weight"
        return {**state, name: state[name][:count].clone()}

    return steps(tensors(change), config(vocab_size=count))


def more_rows(count: int) -> Build:
    """An embedding padded to a round number of rows."""

    def change(state: dict[str, Any]) -> dict[str, Any]:
        import torch

        name = "bert.embeddings.word_embeddings.weight"
        held = state[name]
        return {**state, name: torch.cat([held, torch.zeros(count - len(held), held.shape[1])])}

    return steps(tensors(change), config(vocab_size=count))


def merges(pairs: bool) -> Build:
    """A byte-pair tokenizer in the form of before or after tokenizers 0.20."""
    pair: Any = ["a", "b"] if pairs else "a b"
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [pair]}
    return steps(NER, file("tokenizer.json", {"version": "1.0", "model": model}))


def whole_module() -> Any:
    import torch

    return torch.nn.Sequential(torch.nn.Linear(2, 2))


def with_path(cls: str) -> Build:
    """A state dict that holds a path of one system's class; the other system's cannot be made here."""

    class Named:
        def __reduce__(self) -> Any:
            return (pathlib.PosixPath, ("a", "b"))

    data = pickle.dumps({"path": Named(), "epoch": 1}, protocol=2)
    return archive("run.pt", data.replace(b"PosixPath", cls.encode()))


CASES = [
    Case("tokenizer-files-missing", "tokenizer_config.json without a vocabulary", steps(NER, without("tokenizer.json")), "the vocabulary is there", NER, loader="tokenizer", first=False),
    Case("tokenizer-absent", "a text model saved alone", PLAIN, "a text model with its tokenizer", NER, first=False),
    Case("tokenizer-len-gt-embed", "an embedding of 250 rows under 300 tokens", steps(NER, fewer_rows(250)), "an embedding of 300 rows", NER, "index out of range in self", loader="text"),
    Case("tokenizer-vocab-padded-benign", "an embedding padded to 320 rows", steps(NER, more_rows(320)), "an embedding of as many rows as tokens", NER, first=False),
    Case("tokenizer-case-mismatch", "a tokenizer that keeps case over words without capitals", copy("bert-ner-cased"), "one that lower-cases", NER, "['[UNK]']", loader="text"),
    Case("tokenizer-special-ids", "a pad token beyond the embedding", steps(NER, config(pad_token_id=5000)), "a pad token inside it", steps(NER, config(pad_token_id=0)), "Padding_idx must be within num_embeddings"),
    Case("tokenizer-json-invalid", "tokenizer.json cut in the middle", steps(NER, file("tokenizer.json", '{"version": "1.0", "model": {"type": "Word')), "tokenizer.json whole", NER, loader="tokenizer", says="Unterminated string"),
    Case("tokenizer-spm-corrupt", "a pointer under tokenizer.model", steps(PLAIN, file("tokenizer.model", b"version https://git-lfs.github.com/spec/v1\n" * 3)), "a sentencepiece model", steps(PLAIN, file("tokenizer.model", PIECES)), loader="tokenizer", first=False),
    Case("tokenizer-processor-missing", "a config with a vision part, no processor", steps(NER, config(**SEES)), "the processor beside it", steps(NER, config(**SEES), file("preprocessor_config.json", {})), first=False),
    Case("tokenizer-class-remote", "a tokenizer that is code of its own", steps(NER, tokenizer_config(auto_map={"AutoTokenizer": ["tokenization_x.X", None]})), "a model that is code of its own", steps(NER, tokenizer_config(auto_map={"AutoModel": "modeling_x.X"})), first=False),
    Case("tokenizer-chat-template", "a model named for chats, without a template", NER, "the same with a template", steps(NER, tokenizer_config(chat_template="{{ messages }}")), first=False, names=("llama-3-8b-instruct", "llama-3-8b-instruct")),
    Case("tokenizer-class-v5-backend", "TokenizersBackend under transformers 4.57", steps(NER, tokenizer_config(tokenizer_class="TokenizersBackend")), "the same under transformers 5", steps(NER, tokenizer_config(tokenizer_class="TokenizersBackend")), "Tokenizer class TokenizersBackend does not exist", loader="recorded", packages=({"transformers": "4.57.3"}, {"transformers": "5.0.0"})),
    Case("tokenizer-json-newer", "merges as pairs under tokenizers 0.19", merges(True), "the same under tokenizers 0.20", merges(True), "data did not match any variant of untagged enum ModelWrapper", loader="recorded", packages=({"tokenizers": "0.19.1"}, {"tokenizers": "0.20.0"})),
    Case("pickle-main-attr", "a whole model whose class is in `__main__`", copy("torch-main-module"), "the state dict of the same model", pickled("tagger.pt", lambda: whole_module().state_dict()), "Unsupported global", loader="torch"),
    Case("pickle-module-missing", "a whole model whose module is not installed", copy("torch-moved-module"), "a state dict", pickled("tagger.pt", lambda: whole_module().state_dict()), "Unsupported global", loader="torch"),
    Case("pickle-weights-only", "a whole model of torch's own classes", pickled("model.pt", whole_module), "its state dict", pickled("model.pt", lambda: whole_module().state_dict()), "Unsupported global", loader="torch"),
    Case("pickle-posixpath", "a path of Windows inside the file", with_path("WindowsPath"), "a path of this system", with_path("PosixPath"), "Unsupported global", loader="torch"),
    Case("pickle-zip-old-torch", "a zip under torch 1.5", ZIP, "the same under torch 1.6", ZIP, "is a zip archive (did you mean to use torch.jit.load()?)", loader="recorded", packages=({"torch": "1.5.1"}, {"torch": "1.6.0"})),
    Case("pickle-cve-torch-2.6", "pickled weights under torch 2.5", ZIP, "the same under torch 2.13", ZIP, "we now require users to upgrade torch to at least v2.6", loader="recorded", packages=({"torch": "2.5.1", "transformers": "4.57.3"}, {"torch": "2.13.0", "transformers": "4.57.3"})),
    Case("security-weights-only-not-safe", "a pickle under torch 2.9", ZIP, "the same under torch 2.10", ZIP, "CVE-2026-24747", loader="recorded", packages=({"torch": "2.9.0"}, {"torch": "2.10.0"}), first=False),
    Case("environment-saved-by-newer", "a config written by transformers 5.30", steps(PLAIN, config(transformers_version="5.30.0")), "the same under transformers 5.30.1", steps(PLAIN, config(transformers_version="5.30.0")), "", loader="recorded", packages=({"transformers": "5.23.0"}, {"transformers": "5.30.1"}), first=False),
    Case("config-rope-scaling", "rope_scaling of Llama 3 under transformers 4.40", steps(PLAIN, config(rope_scaling={"rope_type": "llama3", "factor": 8.0})), "the same under transformers 4.43", steps(PLAIN, config(rope_scaling={"rope_type": "llama3", "factor": 8.0})), "must be a dictionary with two fields", loader="recorded", packages=({"transformers": "4.40.0"}, {"transformers": "4.43.0"}), first=False),
    Case("training-checkpoint", "model, optimizer and counters in one file", copy("torch-training-checkpoint"), "the state dict alone", pickled("checkpoint.pt", lambda: whole_module().state_dict()), loader="torch", first=False),
]  # fmt: skip
