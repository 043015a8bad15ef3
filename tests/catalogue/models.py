"""Config, class, heads, shapes, key prefixes and the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.catalogue.case import Case, as_bin, config, copy, file, prefixed, saved, steps, tensors, without

if TYPE_CHECKING:
    from pathlib import Path

    from tests.catalogue.case import Build

NER, PLAIN, GPT2 = copy("bert-ner"), copy("bert-model-only"), copy("gpt2-tiny")
FLASH = "import torch\nimport no_such_attention_package\n\nclass Thing(torch.nn.Module):\n    pass\n"
OPTIONAL = "import torch\ntry:\n    import no_such_attention_package\nexcept ImportError:\n    pass\n"
REMOTE = {"AutoConfig": "modeling_thing.ThingConfig", "AutoModel": "modeling_thing.Thing"}


def llama(**changes: Any) -> Build:
    """A tiny Llama with two of four heads for keys and values."""

    def make() -> Any:
        from tests.builders.tiny_models import build

        return build("llama", **changes)

    return saved(make)


def renamed(old: str, new: str) -> Build:
    return tensors(lambda state: {name.replace(old, new): value for name, value in state.items()})


def dropped(part: str) -> Build:
    return tensors(lambda state: {name: value for name, value in state.items() if part not in name})


def extra(name: str, rows: int = 4) -> Build:
    def change(state: dict[str, Any]) -> dict[str, Any]:
        import torch

        return {**state, name: torch.ones(rows, 16)}

    return tensors(change)


def rows_more(name: str, count: int) -> Build:
    """A matrix with more rows than it had."""

    def change(state: dict[str, Any]) -> dict[str, Any]:
        import torch

        held = state[name]
        return {**state, name: torch.cat([held, torch.zeros(count, *held.shape[1:], dtype=held.dtype)])}

    return tensors(change)


def unformatted(root: Path) -> None:
    """Weights whose header names no framework."""
    from safetensors.torch import load_file, save_file

    NER(root)
    save_file(load_file(root / "model.safetensors"), root / "model.safetensors")


def emptied(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value[:0].clone() if "encoder" in name else value for name, value in state.items()}


CASES = [
    Case("config-missing-config", "weights and tokenizer without config.json", steps(NER, without("config.json")), "config.json without a tokenizer", PLAIN, "config.json"),
    Case("config-no-model-type", "a config without model_type", steps(NER, config(model_type=None, architectures=None)), "a config with model_type and without architectures", steps(PLAIN, config(architectures=None)), "Should have a `model_type` key"),
    Case("config-unknown-model-type", "a model type that no release knows", steps(NER, config(model_type="bert9", architectures=None)), "a known type, written by a later release", steps(NER, config(transformers_version="9.0.0")), "does not recognize this architecture"),
    Case("config-gqa-kv-heads", "four heads for keys and values, stored two", steps(llama(), config(num_key_value_heads=4)), "the number that is stored", llama(), "ignore_mismatched_sizes"),
    Case("config-tie-word-embeddings", "no lm_head, and the config does not tie it", steps(llama(tie_word_embeddings=True), config(tie_word_embeddings=False)), "no lm_head, and the config ties it", llama(tie_word_embeddings=True), "missing_keys: lm_head.weight"),
    Case("config-lm-head-extra-when-tied", "a tied head that is stored all the same", steps(llama(), config(tie_word_embeddings=True)), "a head that is stored and not tied", llama(), first=False),
    Case("config-unknown-key", "num_hidden_layer, where num_hidden_layers is meant", steps(NER, config(num_hidden_layers=None, num_hidden_layer=2)), "a note of one's own", steps(NER, config(remarks="kept")), "missing_keys", first=False),
    Case("config-invalid", "a hidden size that the heads do not divide", steps(NER, config(num_attention_heads=3)), "heads that divide it", steps(NER, config(num_attention_heads=4)), "not a multiple of the number of attention heads"),
    Case("class-head-newly-init", "a classifier's class over the bare model", steps(NER, dropped("classifier"), config(architectures=["BertForTokenClassification"])), "the bare model under its own class", PLAIN, "missing_keys: classifier"),
    Case("class-unused-weights", "the bare class over a classifier", steps(NER, config(architectures=["BertModel"])), "the classifier under its own class", NER, "unexpected_keys: classifier"),
    Case("class-finetuned-loads-random", "names of another model", steps(NER, renamed("bert.", "encoder_model.")), "one name of another model", steps(NER, extra("encoder_model.x")), "missing_keys"),
    Case("class-pooler-benign", "a pooler that a token classifier does not use", steps(NER, extra("bert.pooler.dense.weight", 16)), "a bare model with its pooler", PLAIN, first=False),
    Case("class-trust-remote-code", "a model type of its own, with its code beside it", steps(NER, config(model_type="thing", architectures=["Thing"], auto_map=REMOTE), file("modeling_thing.py", "import torch\n")), "code beside a type that the library has", steps(NER, config(auto_map={"AutoModel": "modeling_thing.Thing"}), file("modeling_thing.py", "import torch\n")), "trust_remote_code"),
    Case("class-remote-import-missing", "code that imports a package that is not here", steps(NER, config(model_type="thing", architectures=["Thing"], auto_map=REMOTE), file("modeling_thing.py", FLASH)), "code that imports it inside try", steps(NER, config(model_type="thing", architectures=["Thing"], auto_map=REMOTE), file("modeling_thing.py", OPTIONAL)), "This modeling file requires the following packages", loader="remote code", first=False),
    Case("class-auto-class-mismatch", "an auto class that the type does not have", NER, "an auto class that it has", NER, "Unrecognized configuration class", classes=("AutoModelForSpeechSeq2Seq", "AutoModelForTokenClassification")),
    Case("class-not-found", "a class that no release has", NER, "a class that the library has", NER, "has no attribute", classes=("BertForTokenClasification", "BertForTokenClassification")),
    Case("class-st-no-modules", "sentence-transformers' config without modules.json", steps(PLAIN, file("config_sentence_transformers.json", {"__version__": {}})), "the model without either", PLAIN, first=False),
    Case("class-delta-weights", "a directory named as a delta", PLAIN, "a directory named otherwise", PLAIN, first=False, names=("vicuna-7b-delta-v1", "vicuna-7b-deltas")),
    Case("class-base-model-arch", "a text generator saved without its head", steps(llama(), dropped("lm_head"), renamed("model.", ""), config(architectures=["LlamaModel"], tie_word_embeddings=False)), "a class with a head whose name ends like it", GPT2, first=False),
    Case("shape-num-labels", "seven labels, stored five", steps(NER, config(id2label={str(row): f"L{row}" for row in range(7)}, label2id={f"L{row}": row for row in range(7)})), "five labels of other names", steps(NER, config(id2label={str(row): f"L{row}" for row in range(5)}, label2id={f"L{row}": row for row in range(5)})), "ignore_mismatched_sizes"),
    Case("shape-vocab-resize", "two more rows of embeddings than the config says", steps(NER, rows_more("bert.embeddings.word_embeddings.weight", 2)), "the rows that the config says", NER, "ignore_mismatched_sizes"),
    Case("shape-config-mismatch", "another intermediate size", steps(NER, config(intermediate_size=40)), "another dropout", steps(NER, config(hidden_dropout_prob=0.5)), "ignore_mismatched_sizes"),
    Case("shape-zero3-empty", "placeholders without elements, as ZeRO-3 leaves them", steps(NER, tensors(emptied)), "one tensor without elements beside the model's", steps(NER, extra("notes", 0)), "ignore_mismatched_sizes"),
    Case("key-module-prefix", "every name behind `module.`", steps(NER, prefixed("module.")), "one module that is named so", steps(NER, extra("module.x")), "missing_keys"),
    Case("key-orig-mod-prefix", "every name behind `_orig_mod.`", steps(NER, prefixed("_orig_mod.")), "the plain names", NER, "missing_keys"),
    Case("key-nested-prefix-silent", "every name behind a wrapper's `net.`", steps(NER, prefixed("net.")), "the base model's own prefix left out", steps(NER, renamed("bert.", ""), dropped("classifier"), config(architectures=["BertModel"])), "missing_keys"),
    Case("key-nested-container", "the state dict under `state_dict`, beside an epoch", steps(NER, as_bin(lambda state: {"state_dict": state, "epoch": 3})), "the state dict alone", steps(NER, as_bin()), "missing_keys"),
    Case("key-lightning-prefix", "a Lightning checkpoint under pytorch_model.bin", steps(NER, as_bin(lambda state: {"state_dict": {f"model.{name}": value for name, value in state.items()}, "pytorch-lightning_version": "2.5.0", "epoch": 1, "global_step": 10})), "the state dict alone", steps(NER, as_bin()), "missing_keys"),
    Case("moe-expert-gap", "experts 0, 1 and 3", steps(NER, extra("blocks.experts.0.w"), extra("blocks.experts.1.w"), extra("blocks.experts.3.w")), "experts 0 to 2", steps(NER, extra("blocks.experts.0.w"), extra("blocks.experts.1.w"), extra("blocks.experts.2.w")), "unexpected_keys", first=False),
    Case("safetensors-metadata-none", "a header without a format, under transformers 4.45", unformatted, "the same under transformers 4.48", unformatted, "'NoneType' object has no attribute 'get'", loader="recorded", packages=({"transformers": "4.45.2"}, {"transformers": "4.48.0"})),
]  # fmt: skip
