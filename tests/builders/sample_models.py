"""Builds sample_models, a gallery of tiny real checkpoints, each broken in exactly one way."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import string
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForTokenClassification,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
)
from transformers.utils import logging as transformers_logging

from tests.builders import format_samples, tensorflow_models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT_DEST = Path(__file__).resolve().parents[2] / "sample_models"
SEED = 20
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LFS_SPEC = "https://git-lfs.github.com/spec/v1"
WORDS = """
the of and to in was he is for on as with that it his by at from her she you had an were but be this are not my
they one which or have him me first all also their has up who out been when after there into new two its time
would no what about said we over then other so more can if like back them only some could where just during
before do made school through than now years most world may between down well three year while will later city
under around did such being used state people part know against your many second both national these university
left family same how since each until war united early name home high called number own any
north company day south work see long great life house found order off including say still even team because
known another next much film series group book game music street river king old small place area
member local born president country general town police church student army law water best large
written age force road club line
##s ##ed ##ing ##er ##ly ##ion ##al ##es ##en ##ness ##ment ##able ##est ##ity
"""
PLACES = """
london paris berlin madrid rome vienna prague lisbon dublin athens oslo warsaw cairo delhi tokyo beijing seoul
sydney toronto chicago boston texas california england france germany spain italy poland greece egypt india china
japan canada brazil mexico australia africa europe
"""
MODEL_PY = '''"""A small tagger, as its author has it today."""

import torch
from torch import nn


class Tagger(nn.Module):
    """Words in, one label for each word out."""

    def __init__(self, words: int = 48, width: int = 16, labels: int = 5) -> None:
        """Build the three layers."""
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.encoder = nn.Linear(width, width)
        self.classifier = nn.Linear(width, labels)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Score every label for every word."""
        return self.classifier(torch.relu(self.encoder(self.embedding(ids))))
'''


@dataclass(frozen=True)
class Sample:
    """One directory of the gallery, what is wrong with it and how to build it."""

    name: str
    story: int
    says: str
    verdict: str
    rules: tuple[str, ...]
    build: Callable[[Path], None]


# --- pieces ---------------------------------------------------------------------------------------------------------


def vocabulary() -> tuple[str, ...]:
    """List the base vocabulary: specials, characters and frequent lower-case words."""
    letters = tuple(string.ascii_lowercase)
    pieces = tuple(f"##{letter}" for letter in letters)
    return tuple(dict.fromkeys((*SPECIALS, *string.punctuation, *string.digits, *letters, *pieces, *WORDS.split())))


def larger_vocabulary() -> tuple[str, ...]:
    """List a later vocabulary: the base one, then place names and years up to 420 entries."""
    years = (str(year) for year in range(1900, 2030))
    return tuple(dict.fromkeys((*vocabulary(), *PLACES.split(), *years)))[:420]


def bert_tokenizer(words: tuple[str, ...], *, lower: bool = True) -> Any:
    """Make a WordPiece tokenizer over these words."""
    vocab = {word: row for row, word in enumerate(words)}
    return BertTokenizer(vocab=vocab, do_lower_case=lower, model_max_length=64)


def bert_config() -> Any:
    """Describe the base model."""
    return BertConfig(
        vocab_size=len(vocabulary()),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        type_vocab_size=2,
        id2label=dict(enumerate(LABELS)),
        label2id={label: row for row, label in enumerate(LABELS)},
    )


def bert_model() -> Any:
    """Make the base model, the same weights every time."""
    torch.manual_seed(SEED)
    return BertForTokenClassification(bert_config()).eval()


def gpt2_model() -> Any:
    """Make the tiny language model, the same weights every time."""
    torch.manual_seed(SEED)
    config = GPT2Config(vocab_size=300, n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0)
    return GPT2LMHeadModel(config).eval()


def distilbert_model() -> Any:
    """Make a DistilBERT of the same size as the base model."""
    torch.manual_seed(SEED)
    config = DistilBertConfig(
        vocab_size=len(vocabulary()),
        dim=16,
        n_layers=2,
        n_heads=2,
        hidden_dim=32,
        max_position_embeddings=64,
        id2label=dict(enumerate(LABELS)),
        label2id={label: row for row, label in enumerate(LABELS)},
    )
    return DistilBertForTokenClassification(config).eval()


def edit_config(dest: Path, changes: dict[str, Any], drop: tuple[str, ...] = ()) -> None:
    """Change and drop keys of config.json."""
    path = dest / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: value for key, value in {**config, **changes}.items() if key not in drop}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def save_bin(dest: Path, content: object) -> None:
    """Save a base directory whose weights file is pytorch_model.bin with this content."""
    bert_config_and_tokenizer(dest)
    torch.save(content, dest / "pytorch_model.bin")


def bert_config_and_tokenizer(dest: Path) -> None:
    """Save the base model's directory without its weights."""
    bert_ner(dest)
    (dest / "model.safetensors").unlink()


@contextmanager
def steady_storage_keys() -> Iterator[None]:
    """Number storages in order of first sight; the legacy format would write their memory addresses."""
    seen: dict[int, int] = {}

    def key(storage: Any) -> int:
        """Return this storage's number."""
        return 10**9 + seen.setdefault(storage.data_ptr(), len(seen))

    with mock.patch.object(torch.UntypedStorage, "_cdata", property(key), create=True):
        yield


@contextmanager
def passing_module(name: str, content: type[nn.Module]) -> Iterator[None]:
    """Let a class be importable from this module for as long as the block runs."""
    parents = [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
    fresh = {part: ModuleType(part) for part in (*parents, name) if part not in sys.modules}
    sys.modules.update(fresh)
    setattr(sys.modules[name], content.__name__, content)
    try:
        yield
    finally:
        delattr(sys.modules[name], content.__name__)
        for part in fresh:
            del sys.modules[part]


def old_tagger_class(module: str) -> type[nn.Module]:
    """Define Tagger as it was when its weights were saved, as a class of this module."""

    class Tagger(nn.Module):
        """Words in, one label for each word out."""

        def __init__(self, words: int = 48, width: int = 8, labels: int = 5) -> None:
            """Build the three layers."""
            super().__init__()
            self.embedding = nn.Embedding(words, width)
            self.hidden = nn.Linear(width, width)
            self.out = nn.Linear(width, labels)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            """Score every label for every word."""
            return self.out(torch.relu(self.hidden(self.embedding(ids))))

    Tagger.__module__ = module
    Tagger.__qualname__ = "Tagger"
    return Tagger


def save_whole_module(dest: Path, module: str) -> None:
    """Pickle a whole nn.Module whose class lives in this module."""
    tagger = old_tagger_class(module)
    torch.manual_seed(SEED)
    with passing_module(module, tagger):
        torch.save(tagger(), dest / "model.pt")


# --- samples --------------------------------------------------------------------------------------------------------


def bert_ner(dest: Path) -> None:
    """Save the good one: model and tokenizer."""
    bert_model().save_pretrained(dest)
    bert_tokenizer(vocabulary()).save_pretrained(dest)


def bert_ner_sharded(dest: Path) -> None:
    """Save the good one in shards."""
    bert_model().save_pretrained(dest, max_shard_size="24KB")
    bert_tokenizer(vocabulary()).save_pretrained(dest)


def bert_ner_legacy_bin(dest: Path) -> None:
    """Save the weights as torch did before its zip format."""
    bert_config_and_tokenizer(dest)
    with steady_storage_keys():
        torch.save(bert_model().state_dict(), dest / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def bert_ner_zip_bin(dest: Path) -> None:
    """Save the weights as a zip pytorch_model.bin."""
    save_bin(dest, bert_model().state_dict())


def bert_model_only(dest: Path) -> None:
    """Save the model and no tokenizer file."""
    bert_model().save_pretrained(dest)


def gpt2_tiny(dest: Path) -> None:
    """Save a good language model."""
    gpt2_model().save_pretrained(dest)


def bert_ner_labels(dest: Path) -> None:
    """Declare nine labels over a head of five."""
    bert_ner(dest)
    labels = (*LABELS, "B-ORG", "I-ORG", "B-MISC", "I-MISC")
    by_row = {str(row): label for row, label in enumerate(labels)}
    edit_config(dest, {"id2label": by_row, "label2id": {label: row for row, label in enumerate(labels)}})


def bert_ner_hidden(dest: Path) -> None:
    """Declare a hidden size of 24 over weights of 16."""
    bert_ner(dest)
    edit_config(dest, {"hidden_size": 24})


def bert_ner_tokenizer_larger(dest: Path) -> None:
    """Put another tokenizer, with more entries than the embedding has rows, beside the model."""
    bert_model().save_pretrained(dest)
    bert_tokenizer(larger_vocabulary()).save_pretrained(dest)


def bert_ner_tokenizer_missing(dest: Path) -> None:
    """Keep the tokenizer's settings and lose its vocabulary."""
    bert_ner(dest)
    for name in ("tokenizer.json", "vocab.txt"):
        (dest / name).unlink(missing_ok=True)


def bert_ner_cased(dest: Path) -> None:
    """Save a tokenizer that keeps capitals over a vocabulary that has none."""
    bert_model().save_pretrained(dest)
    bert_tokenizer(vocabulary(), lower=False).save_pretrained(dest)


def bert_ner_truncated(dest: Path) -> None:
    """Cut the weights file to half its size."""
    bert_ner(dest)
    weights = dest / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)


def trainer_cut(dest: Path) -> None:
    """A step of a training run that was killed while it saved: weights cut, the files written last not there."""
    bert_ner_truncated(dest)
    format_samples.optimizer_state(dest)


def bert_ner_lfs_pointer(dest: Path) -> None:
    """Leave the git-lfs pointer where the weights should be."""
    bert_ner(dest)
    weights = dest / "model.safetensors"
    content = weights.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    weights.write_text(f"version {LFS_SPEC}\noid sha256:{digest}\nsize {len(content)}\n", encoding="utf-8")


def bert_ner_shard_missing(dest: Path) -> None:
    """Lose the last shard."""
    bert_ner_sharded(dest)
    max(dest.glob("model-*.safetensors")).unlink()


def bert_ner_no_config(dest: Path) -> None:
    """Lose config.json."""
    bert_ner(dest)
    (dest / "config.json").unlink()


def bert_ner_no_model_type(dest: Path) -> None:
    """Lose model_type and keep architectures."""
    bert_ner(dest)
    edit_config(dest, {}, drop=("model_type",))


def bert_ner_unknown_type(dest: Path) -> None:
    """Name a model type that transformers does not have."""
    bert_ner(dest)
    edit_config(dest, {"architectures": ["Bert2ForTokenClassification"], "model_type": "bert2"})


def gpt2_wrong_class(dest: Path) -> None:
    """Name a BERT class over GPT-2 weights."""
    gpt2_tiny(dest)
    edit_config(dest, {"architectures": ["BertForTokenClassification"]})


def bert_dataparallel(dest: Path) -> None:
    """Save the weights from inside torch.nn.DataParallel."""
    save_bin(dest, nn.DataParallel(bert_model()).state_dict())


def bert_nested(dest: Path) -> None:
    """Save the weights one level down, beside the epoch."""
    save_bin(dest, {"state_dict": bert_model().state_dict(), "epoch": 3})


def bert_distilbert_weights(dest: Path) -> None:
    """Put DistilBERT's weights beside BERT's config."""
    save_bin(dest, distilbert_model().state_dict())


def torch_main_module(dest: Path) -> None:
    """Pickle a whole module whose class was typed into a script."""
    save_whole_module(dest, "__main__")


def torch_moved_module(dest: Path) -> None:
    """Pickle a whole module whose class is in a package nobody else has."""
    save_whole_module(dest, "research_models.tagger")


def torch_older_class(dest: Path) -> None:
    """Save a state dict, then let the class move on."""
    torch.manual_seed(SEED)
    torch.save(old_tagger_class("model")().state_dict(), dest / "tagger.pt")
    (dest / "model.py").write_text(MODEL_PY, encoding="utf-8")


def torch_training_checkpoint(dest: Path) -> None:
    """Save model, optimizer and counters after one step of Adam."""
    torch.manual_seed(SEED)
    model = old_tagger_class("model")()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    model(torch.arange(6)).square().mean().backward()
    optimizer.step()
    content = {
        "epoch": 2,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": 0.5,
    }
    torch.save(content, dest / "checkpoint.pt")


SAMPLES: tuple[Sample, ...] = (
    Sample(
        name="bert-ner",
        story=2,
        says="No exception; 0 missing, 0 unexpected, 0 mismatched keys; BertTokenizer of 300 entries",
        verdict="loads",
        rules=(),
        build=bert_ner,
    ),
    Sample(
        name="bert-ner-sharded",
        story=1,
        says="No exception; 0 missing, 0 unexpected, 0 mismatched keys; BertTokenizer of 300 entries",
        verdict="loads",
        rules=(),
        build=bert_ner_sharded,
    ),
    Sample(
        name="bert-ner-legacy-bin",
        story=4,
        says="No exception; 0 missing, 0 unexpected, 0 mismatched keys; BertTokenizer of 300 entries",
        verdict="loads",
        rules=(),
        build=bert_ner_legacy_bin,
    ),
    Sample(
        name="bert-ner-zip-bin",
        story=4,
        says="No exception; 0 missing, 0 unexpected, 0 mismatched keys; BertTokenizer of 300 entries",
        verdict="loads",
        rules=(),
        build=bert_ner_zip_bin,
    ),
    Sample(
        name="bert-model-only",
        story=2,
        says="No exception; 0 missing, 0 unexpected, 0 mismatched keys (AutoTokenizer: no exception, 5 entries)",
        verdict="loads",
        rules=(),
        build=bert_model_only,
    ),
    Sample(
        name="gpt2-tiny",
        story=2,
        says="No exception; 0 missing, 0 unexpected, 0 mismatched keys (AutoTokenizer: no exception, 1 entry)",
        verdict="loads",
        rules=(),
        build=gpt2_tiny,
    ),
    Sample(
        name="bert-ner-labels",
        story=1,
        says="RuntimeError: You set `ignore_mismatched_sizes` to `False`, thus raising an error… (ckpt: "
        "torch.Size([5, 16]) vs model:torch.Size([9, 16]))",
        verdict="fails",
        rules=("shape-num-labels",),
        build=bert_ner_labels,
    ),
    Sample(
        name="bert-ner-hidden",
        story=1,
        says="RuntimeError: You set `ignore_mismatched_sizes` to `False`, thus raising an error… (36 of 39 "
        "keys MISMATCH, 16 vs 24)",
        verdict="fails",
        rules=("shape-config-mismatch",),
        build=bert_ner_hidden,
    ),
    Sample(
        name="bert-ner-tokenizer-larger",
        story=1,
        says="No exception while loading, BertTokenizer of 420 entries; first London in a text: IndexError: "
        "index out of range in self",
        verdict="degraded",
        rules=("tokenizer-len-gt-embed",),
        build=bert_ner_tokenizer_larger,
    ),
    Sample(
        name="bert-ner-tokenizer-missing",
        story=1,
        says="AutoTokenizer: no exception, BertTokenizer of 5 entries; every word becomes [UNK]",
        verdict="degraded",
        rules=("tokenizer-files-missing",),
        build=bert_ner_tokenizer_missing,
    ),
    Sample(
        name="bert-ner-cased",
        story=1,
        says="AutoTokenizer: no exception, BertTokenizer of 300 entries; The, President and London become [UNK]",
        verdict="degraded",
        rules=("tokenizer-case-mismatch",),
        build=bert_ner_cased,
    ),
    Sample(
        name="bert-ner-truncated",
        story=1,
        says="SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered",
        verdict="fails",
        rules=("safetensors-truncated",),
        build=bert_ner_truncated,
    ),
    Sample(
        name="bert-ner-lfs-pointer",
        story=1,
        says="SafetensorError: Error while deserializing header: header too large",
        verdict="fails",
        rules=("lfs-pointer-safetensors",),
        build=bert_ner_lfs_pointer,
    ),
    Sample(
        name="bert-ner-shard-missing",
        story=1,
        says="FileNotFoundError: No such file or directory: bert-ner-shard-missing/model-00002-of-00002.safetensors",
        verdict="fails",
        rules=("shard-missing-file",),
        build=bert_ner_shard_missing,
    ),
    Sample(
        name="bert-ner-no-config",
        story=2,
        says="AutoModel: ValueError: Unrecognized model in bert-ner-no-config. Should have a `model_type` "
        "key in its config.json.",
        verdict="fails",
        rules=("config-missing-config",),
        build=bert_ner_no_config,
    ),
    Sample(
        name="bert-ner-no-model-type",
        story=2,
        says="No exception, 0 missing keys; AutoModel: ValueError: Unrecognized model in "
        "bert-ner-no-model-type. Should have a `model_type` key in its config.json.",
        verdict="loads",
        rules=("config-no-model-type",),
        build=bert_ner_no_model_type,
    ),
    Sample(
        name="bert-ner-unknown-type",
        story=1,
        says="AutoModel: ValueError: The checkpoint you are trying to load has model type `bert2` but "
        "Transformers does not recognize this architecture…",
        verdict="fails",
        rules=("config-unknown-model-type",),
        build=bert_ner_unknown_type,
    ),
    Sample(
        name="gpt2-wrong-class",
        story=1,
        says="No exception; 199 of 199 keys missing, 28 unexpected; You are using a model of type `gpt2` to "
        "instantiate a model of type `bert`…",
        verdict="degraded",
        rules=("class-finetuned-loads-random",),
        build=gpt2_wrong_class,
    ),
    Sample(
        name="bert-dataparallel",
        story=4,
        says="No exception; 39 of 39 keys missing, 39 unexpected (module.bert.embeddings.LayerNorm.bias, …)",
        verdict="degraded",
        rules=("key-module-prefix",),
        build=bert_dataparallel,
    ),
    Sample(
        name="bert-nested",
        story=4,
        says="No exception; 39 of 39 keys missing, 2 unexpected (epoch, state_dict)",
        verdict="degraded",
        rules=("key-nested-container",),
        build=bert_nested,
    ),
    Sample(
        name="bert-distilbert-weights",
        story=4,
        says="No exception; 37 of 39 keys missing, 36 unexpected (distilbert.embeddings.LayerNorm.bias, …)",
        verdict="degraded",
        rules=("class-finetuned-loads-random",),
        build=bert_distilbert_weights,
    ),
    Sample(
        name="torch-main-module",
        story=4,
        says="UnpicklingError: Weights only load failed… (weights_only=False: AttributeError: Can't get "
        "attribute 'Tagger' on <module '__main__'…)",
        verdict="fails",
        rules=("pickle-main-attr",),
        build=torch_main_module,
    ),
    Sample(
        name="torch-moved-module",
        story=4,
        says="UnpicklingError: Weights only load failed… (weights_only=False: ModuleNotFoundError: No module "
        "named 'research_models')",
        verdict="fails",
        rules=("pickle-module-missing",),
        build=torch_moved_module,
    ),
    Sample(
        name="torch-older-class",
        story=4,
        says="torch.load: no exception; load_state_dict: RuntimeError: Error(s) in loading state_dict for "
        'Tagger: Missing key(s) in state_dict: "encoder.weight", …',
        verdict="loads",
        rules=("state-dict-class-drift",),
        build=torch_older_class,
    ),
    Sample(
        name="torch-training-checkpoint",
        story=4,
        says="No exception; a dict of epoch, model_state_dict, optimizer_state_dict and loss",
        verdict="loads",
        rules=("training-checkpoint",),
        build=torch_training_checkpoint,
    ),
    Sample(
        name="gguf-tiny",
        story=8,
        says="gguf.GGUFReader: no exception, 3 tensors",
        verdict="loads",
        rules=(),
        build=format_samples.gguf_tiny,
    ),
    Sample(
        name="gguf-truncated",
        story=8,
        says="gguf.GGUFReader: ValueError: cannot reshape array of size … into shape …",
        verdict="fails",
        rules=("gguf-truncated",),
        build=format_samples.gguf_truncated,
    ),
    Sample(
        name="onnx-external-missing",
        story=8,
        says="onnx.load: ValidationError: Data of TensorProto ( tensor name: W) should be stored in "
        "model.onnx.data, but it is not regular file.",
        verdict="fails",
        rules=("onnx-external-missing",),
        build=format_samples.onnx_external_missing,
    ),
    Sample(
        name="adapter-wrong-rank",
        story=8,
        says="peft: RuntimeError: Error(s) in loading state_dict for PeftModelForTokenClassification: size mismatch "
        "for base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.default.weight…",
        verdict="fails",
        rules=("adapter-shape-mismatch",),
        build=format_samples.adapter_wrong_rank,
    ),
    Sample(
        name="numpy-objects",
        story=8,
        says="numpy.load: ValueError: Object arrays cannot be loaded when allow_pickle=False",
        verdict="fails",
        rules=("numpy-object-array",),
        build=format_samples.numpy_objects,
    ),
    Sample(
        name="trainer-cut",
        story=8,
        says="SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered",
        verdict="fails",
        rules=("safetensors-truncated", "file-incomplete-ckpt-dir"),
        build=trainer_cut,
    ),
)


# --- the gallery ----------------------------------------------------------------------------------------------------


def cell(text: str) -> str:
    """Make a text safe inside a Markdown table."""
    escaped = text.replace("|", "\\|").replace("<", "\\<").replace("__", "\\_\\_")
    return " ".join(escaped.split())


def row(sample: Sample | tensorflow_models.Row) -> str:
    """Write one sample's row of the table."""
    rules = ", ".join(f"`{rule}`" for rule in sample.rules)
    return f"| `{sample.name}` | {sample.story} | {cell(sample.says)} | {sample.verdict} | {rules} |"


def readme() -> str:
    """Write the gallery's README."""
    lines = [
        "# Sample models",
        "",
        "Tiny real checkpoints, written by torch, transformers and TensorFlow with random weights, a few of them good "
        "and each of the others broken in exactly one way. Look at them with `ckptriage sample_models`, or print the "
        "verdicts with `ckptriage check sample_models`.",
        "",
        "| Sample | Story | What the real loader says | Verdict | Rules |",
        "| --- | --- | --- | --- | --- |",
        *(row(sample) for sample in SAMPLES),
        *(row(sample) for sample in tensorflow_models.SAMPLES),
    ]
    return "\n".join(lines) + "\n"


def build(dest: Path) -> None:
    """Build every sample and the README, replacing earlier ones."""
    for sample in SAMPLES:
        target = dest / sample.name
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        sample.build(target)
        for path in target.iterdir():
            path.chmod(0o644)
    build_tensorflow(dest)
    (dest / "README.md").write_text(readme(), encoding="utf-8")


def build_tensorflow(dest: Path) -> None:
    """Build the samples of TensorFlow and Keras, in a process whose names start at the beginning."""
    command = [sys.executable, "-m", "tests.builders.tensorflow_models", str(dest.absolute())]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(command, check=True, capture_output=True, cwd=DEFAULT_DEST.parent, env=environment)


def main(arguments: list[str]) -> None:
    """Build into the directory named on the command line, or into the repository's own."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)
    build(Path(arguments[0]) if arguments else DEFAULT_DEST)


if __name__ == "__main__":
    main(sys.argv[1:])
