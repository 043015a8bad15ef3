"""All rules, grouped by what they speak of: a group is asked only where its subject is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tui.core.diagnosis import (
    adapters,
    classes,
    companions,
    config,
    deep,
    environment,
    files,
    gguf,
    keras,
    keys,
    layouts,
    machine,
    own_code,
    pickles,
    quantization,
    ranks,
    tensorflow,
    tokenizer,
)  # fmt: skip
from tui.core.diagnosis.evidence import Evidence, Finding
from tui.core.record import Record

Rule = Callable[[Evidence], Iterator[Finding]]


class Group(Record, frozen=True):
    """Rules about one subject; where `applies` is false none of them has anything to say."""

    applies: Callable[[Evidence], bool]
    rules: tuple[Rule, ...]


def _always(evidence: Evidence) -> bool:
    return True


def _compared(evidence: Evidence) -> bool:
    """The loader's bookkeeping, or its refusal, is known."""
    return evidence.comparison is not None


def _environment(evidence: Evidence) -> bool:
    """The packages that would load it are known."""
    return evidence.packages is not None


def _tried(evidence: Evidence) -> bool:
    """A load was attempted."""
    return evidence.outcome is not None


def _deep(evidence: Evidence) -> bool:
    """Every byte was read."""
    return evidence.deep is not None


def _other_formats(evidence: Evidence) -> bool:
    """Anything but safetensors: pickles, GGUF, TensorFlow, Keras and what the first bytes tell."""
    checkpoint = evidence.checkpoint
    return checkpoint.kind.startswith("tensorflow") or any(file.format != "safetensors" for file in checkpoint.files)


def _adapter(evidence: Evidence) -> bool:
    return evidence.checkpoint.kind == "adapter"


def _composite(evidence: Evidence) -> bool:
    """A directory that is organised beyond its weight files."""
    return evidence.checkpoint.layout is not None


def _tokenizer(evidence: Evidence) -> bool:
    """A tokenizer of its own, or one that is to be used instead."""
    return evidence.tokenizer is not None or evidence.checkpoint.tokenizer is not None


def _quantized(evidence: Evidence) -> bool:
    """Configured to be quantized, whatever its tensors are."""
    checkpoint = evidence.checkpoint
    return "quantize_config.json" in checkpoint.json_files or bool(quantization.declared(checkpoint))


GROUPS: tuple[Group, ...] = (
    Group(
        _always,
        (
            files.damaged, files.misnamed, files.no_weights, files.nothing, files.index_against_shards,
            files.empty_tensors,
        ),
    ),
    Group(
        _other_formats,
        (
            pickles.levels, pickles.code_needed, pickles.torchscript, pickles.training, pickles.devices,
            own_code.class_drift, own_code.strict_false,
        ),
    ),
    Group(_always, (config.missing_config, config.no_model_type, config.unexpected_values)),
    Group(
        _compared,
        (
            config.loader_stops, config.unknown_keys, keys.random_model, keys.mismatched, keys.conversion,
            keys.partly_missing, companions.old_weight_norm, companions.several_tokens,
        ),
    ),
    Group(
        _tokenizer,
        (
            tokenizer.vocabulary_missing, tokenizer.vocabulary_not_read, tokenizer.raises,
            tokenizer.larger_than_embedding, tokenizer.smaller_than_embedding, tokenizer.case,
            companions.chat_template, companions.remote_tokenizer, companions.sentencepiece,
        ),
    ),
    Group(_always, (keys.expert_gaps, tokenizer.special_ids, tokenizer.absent)),
    Group(
        _other_formats,
        (gguf.no_gguf, gguf.architecture, gguf.vocabulary, gguf.head_size, gguf.truncated_adapter, gguf.mixed_parts),
    ),
    Group(
        _adapter,
        (
            adapters.no_weights, adapters.empty, adapters.ranks, adapters.against_base, adapters.targets,
            adapters.base_model,
        ),
    ),
    Group(
        _composite,
        (
            layouts.components, layouts.modules, layouts.unfinished_step, layouts.deepspeed, layouts.distributed,
            layouts.megatron, layouts.consolidated, layouts.shards, ranks.differing,
        ),
    ),
    Group(
        _quantized,
        (
            quantization.unknown_type, quantization.leftover, quantization.packages, quantization.group_size,
            quantization.companions,
        ),
    ),
    Group(_deep, deep.RULES),
    Group(
        _always,
        (
            layouts.merged_without_embedding, quantization.packed_as_plain, quantization.file_name,
            environment.sixteen_as_thirty_two, *companions.ALWAYS, *classes.RULES,
        ),
    ),
    Group(_environment, environment.RULES),
    Group(
        _other_formats,
        (
            tensorflow.hub_v1, tensorflow.not_callable, tensorflow.several_graphs, tensorflow.ops,
            tensorflow.newer_writer, tensorflow.python_ops, tensorflow.variables, tensorflow.checkpoint_alone,
            tensorflow.inputs, tensorflow.packages, tensorflow.keras_loader, keras.custom, keras.lambdas, keras.skew,
            keras.weights_only, keras.convertible,
        ),
    ),
    Group(_environment, (machine.no_framework,)),
    Group(_always, (keras.no_signature, machine.not_asked, machine.memory, machine.optimizer_state)),
    Group(_tried, (machine.no_reader, machine.changed, machine.outcome)),
)  # fmt: skip
"""In the order in which causes hide their consequences."""
