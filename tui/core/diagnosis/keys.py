"""Names and shapes: wrappers' prefixes, containers, the wrong class, and the config field behind a mismatch."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from tui.core.diagnosis.make import edit_json, finding, python_command
from tui.core.record import replace
from tui.core.text import listing, printable, shape_text, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.compare import Comparison, Field
    from tui.core.diagnosis.evidence import Evidence, Finding

_PREFIXES = (
    ("module.", "key-module-prefix"),
    ("_orig_mod.", "key-orig-mod-prefix"),
    ("_fsdp_wrapped_module.", "key-nested-prefix-silent"),
    ("_checkpoint_wrapped_module.", "key-nested-prefix-silent"),
)
_MOST = 0.5
"""Below this share of parameters from the file the model is said to be mostly random."""

_LABEL_FIELDS = ("num_labels", "id2label")
_VOCABULARY = ("vocab_size",)
_HEADS = ("num_key_value_heads", "head_dim")


def compared(evidence: Evidence) -> Comparison | None:
    """The comparison where it went as far as the tensors and is worth a word."""
    comparison = evidence.comparison
    if comparison is None or comparison.stage not in ("done", "weights"):
        return None
    if any(file.fatal for file in evidence.checkpoint.weight_files) or evidence.checkpoint.weights.problems:
        return None
    return comparison


def random_model(evidence: Evidence) -> Iterator[Finding]:
    """Everything missing and everything unexpected: the loader returns a random model without an exception."""
    comparison = compared(evidence)
    if comparison is None or comparison.coverage is None or comparison.coverage >= _MOST or comparison.mismatched:
        return
    if not comparison.unexpected:
        return
    lines = _coverage(comparison)
    checkpoint = evidence.checkpoint
    container = _container(checkpoint)
    wrapped = _wrapped(checkpoint) or (None if container else _behind(checkpoint, comparison))
    if wrapped is not None:
        prefix, rule = wrapped
        yield finding(
            rule,
            [f"{len(checkpoint.tensors):,} of {len(checkpoint.tensors):,} names begin with {prefix!r}", *lines],
            file=_first_file(checkpoint),
            fix=(_strip_command(checkpoint, prefix),),
        )
    elif container is not None:
        key, count = container
        lightning = checkpoint.pickles and "pytorch-lightning_version" in checkpoint.pickles[0][1].top_keys
        yield finding(
            "key-lightning-prefix" if lightning else "key-nested-container",
            [f"{count:,} tensors lie under {printable(key)!r}; at the top the loader finds {_top(checkpoint)}", *lines],
            title=f"The weights are one level down, under {printable(key)!r}",
            file=_first_file(checkpoint),
            fix=(_unwrap_command(checkpoint, key, _inner_prefix(checkpoint, comparison, key)),),
        )
    else:
        yield _other_class(checkpoint, comparison, lines)


def _coverage(comparison: Comparison) -> list[str]:
    """How much of the model would come from the file, and how much of the file would be used."""
    share = f"{(comparison.coverage or 0) * 100:.1f} %"
    return [
        f"{comparison.matched:,} tensors match, {len(comparison.missing):,} missing, {len(comparison.unexpected):,} "
        f"unexpected: {share} of the parameters of {comparison.model_class} come from this file",
        "the loader raises no exception and returns a random model",
    ]


def _other_class(checkpoint: Checkpoint, comparison: Comparison, lines: list[str]) -> Finding:
    names = [tensor.name for tensor in checkpoint.tensors]
    stem = printable(names[0].partition(".")[0]) if names else "?"
    config = checkpoint.settings
    lines = [*lines, f"names in the file begin with {stem!r}; the model wants {listing(comparison.missing[:2])}"]
    if config.get("model_type"):
        lines.append(f"config.json: model_type {printable(str(config['model_type']))!r}")
    better = [
        item
        for item in comparison.candidates
        if isinstance(item.get("matched"), float) and item["matched"] > 0.9 and item["class"] != comparison.model_class
    ]
    fix = tuple(
        f"from transformers import {item['class']}; {item['class']}.from_pretrained({checkpoint.path!r})"
        for item in better[:1]
    )
    return finding(
        "class-finetuned-loads-random",
        lines,
        title=f"Loaded as {comparison.model_class}, most of the model would be random",
        file=_first_file(checkpoint),
        fix=fix or ("load it with the class that it was saved from: ckptriage compare lists the classes that fit",),
    )


def _first_file(checkpoint: Checkpoint) -> str | None:
    return checkpoint.weight_files[0].name if checkpoint.weight_files else None


def _wrapped(checkpoint: Checkpoint) -> tuple[str, str] | None:
    """The wrapper's prefix that every name carries, with the rule for it."""
    names = [tensor.name for tensor in checkpoint.tensors]
    for prefix, rule in _PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            inner = [name.removeprefix(prefix) for name in names]
            deeper = next((more for more, _ in _PREFIXES if all(name.startswith(more) for name in inner)), "")
            return (prefix + deeper, "key-nested-prefix-silent" if deeper else rule)
    return None


def _behind(checkpoint: Checkpoint, comparison: Comparison) -> tuple[str, str] | None:
    """A leading part that all names share and without which they are the names that are missing."""
    prefix = _shared_prefix([tensor.name for tensor in checkpoint.tensors], set(comparison.missing))
    return (prefix, "key-nested-prefix-silent") if prefix else None


def _shared_prefix(names: list[str], missing: set[str]) -> str:
    """The leading part of all `names` without which nine in ten of the `missing` are among them, else empty."""
    prefix = ""
    for part in names[0].split(".")[:4] if names else ():
        prefix += f"{part}."
        if not all(name.startswith(prefix) for name in names):
            return ""
        found = missing.intersection(name.removeprefix(prefix) for name in names)
        if missing and len(found) * 10 >= len(missing) * 9:
            return prefix
    return ""


def _container(checkpoint: Checkpoint) -> tuple[str, int] | None:
    """The key below which most tensors lie, where none lies at the top."""
    for _, pickle in checkpoint.pickles:
        if pickle.containers and not any(tensor.role == "" for tensor in checkpoint.tensors):
            return next((item for item in pickle.containers if not item[0].startswith("optim")), pickle.containers[0])
    return None


def _top(checkpoint: Checkpoint) -> str:
    return listing(checkpoint.pickles[0][1].top_keys, 4)


def _strip_command(checkpoint: Checkpoint, prefix: str) -> str:
    """A command that strips a prefix; the old file is replaced only once the new one is whole."""
    source = str(checkpoint.root / (_first_file(checkpoint) or ""))
    if source.endswith(".safetensors"):
        code = (
            "import sys; from safetensors.torch import load_file, save_file; "
            f"save_file({{k.removeprefix({prefix!r}): v for k, v in load_file(sys.argv[1]).items()}}, sys.argv[2], "
            "metadata={'format': 'pt'})"
        )
    else:
        code = (
            "import sys, torch; sd = torch.load(sys.argv[1], map_location='cpu', weights_only=True); "
            f"torch.save({{k.removeprefix({prefix!r}): v for k, v in sd.items()}}, sys.argv[2])"
        )
    return _replace_by(code, source)


def _inner_prefix(checkpoint: Checkpoint, comparison: Comparison, key: str) -> str:
    """What Lightning puts before every name inside the container: the attribute that held the model."""
    inner = [tensor.name.removeprefix(f"{key}.") for tensor in checkpoint.tensors if tensor.name.startswith(f"{key}.")]
    behind = _shared_prefix(inner, set(comparison.missing))
    return behind or ""


def _unwrap_command(checkpoint: Checkpoint, key: str, prefix: str) -> str:
    """A command that saves the inner state dict alone, in the old file's place."""
    source = str(checkpoint.root / (_first_file(checkpoint) or ""))
    inner = f"torch.load(sys.argv[1], map_location='cpu', weights_only=True)[{key!r}]"
    if prefix:
        inner = f"{{k.removeprefix({prefix!r}): v for k, v in {inner}.items()}}"
    code = f"import sys, torch; torch.save({inner}, sys.argv[2])"
    return _replace_by(code, source)


def _replace_by(code: str, source: str) -> str:
    """Write the mended file beside the old one, then put it in its place."""
    fixed = _fixed_name(source)
    return f"{python_command(code, source, fixed)} && {shell('mv', fixed, source)}"


def _fixed_name(source: str) -> str:
    path = PurePath(source)
    return str(path.with_name(f"{path.stem}.fixed{path.suffix}"))


def mismatched(evidence: Evidence) -> Iterator[Finding]:
    """Shapes that differ, explained by the config fields behind them where there are any."""
    comparison = compared(evidence)
    if comparison is None or not comparison.mismatched:
        return
    for item in comparison.fields:
        yield _of_field(evidence.checkpoint, comparison, item)
    if not comparison.fields:
        first = comparison.mismatched[0]
        yield finding(
            "shape-config-mismatch",
            [
                *_shapes(comparison),
                "no single config value was found that explains it",
                _plain_words(comparison),
            ],
            title=f"{len(comparison.mismatched)} tensors have another shape than {comparison.model_class} expects, "
            f"{printable(first.key)} first",
        )


def _shapes(comparison: Comparison, most: int = 4) -> list[str]:
    lines = [
        f"{printable(item.key)}: file {shape_text(item.checkpoint)}, model {shape_text(item.model)}"
        for item in comparison.mismatched[:most]
    ]
    if len(comparison.mismatched) > most:
        lines.append(f"and {len(comparison.mismatched) - most:,} more")
    return lines


def _plain_words(comparison: Comparison) -> str:
    return f"the loader says: {comparison.error[0]}: {printable(comparison.error[1], 200)}" if comparison.error else ""


def _of_field(checkpoint: Checkpoint, comparison: Comparison, item: Field) -> Finding:
    """One config field that explains mismatches."""
    last = item.field.rpartition(".")[2]
    rule = "shape-config-mismatch"
    if last in _LABEL_FIELDS:
        rule = "shape-num-labels"
    elif last in _VOCABULARY:
        rule = "shape-vocab-resize"
    elif last in _HEADS:
        rule = "config-gqa-kv-heads"
    evidence = [
        f"{item.field}: config {printable(str(item.config))}, weights {item.weights}; "
        f"with {item.field} {item.weights}, "
        f"{item.keys:,} more keys match",
        *_shapes(comparison),
        _plain_words(comparison),
    ]
    return finding(
        rule,
        [line for line in evidence if line],
        title=f"{item.field} is {printable(str(item.config))} in config.json, the weights have {item.weights}",
        file="config.json",
        fix=(
            _set_command(checkpoint, item),
            f"{comparison.model_class}.from_pretrained({checkpoint.path!r}, ignore_mismatched_sizes=True)"
            "  # trains the head anew",
        )
        if rule == "shape-num-labels"
        else (_set_command(checkpoint, item),),
    )


def _set_command(checkpoint: Checkpoint, item: Field) -> str:
    """A command that writes the corrected config over the wrong one, when the user runs it."""
    steps = "".join(f"[{part!r}]" for part in item.field.split("."))
    if item.field == "num_labels":
        change = (
            "c['id2label'] = {str(i): c.get('id2label', {}).get(str(i), f'LABEL_{i}') for i in "
            f"range({item.weights})}}; "
            "c['label2id'] = {v: int(k) for k, v in c['id2label'].items()}; c.pop('num_labels', None)"
        )
    else:
        change = f"c{steps} = {item.weights!r}"
    return edit_json(checkpoint, change)


def conversion(evidence: Evidence) -> Iterator[Finding]:
    """Groups that cannot be fused or split: one of their tensors is absent or of another shape."""
    comparison = compared(evidence)
    if comparison is None or not comparison.conversion:
        return
    lines = []
    rows = {row.key: row for row in comparison.rows}
    for key, text in list(comparison.conversion.items())[:4]:
        row = rows.get(key)
        sources = f" from {listing(row.sources)}" if row is not None and row.sources else ""
        lines.append(f"{printable(key)}{sources}: {printable(text.strip().splitlines()[-1], 200)}")
    yield finding("shape-conversion-error", [*lines, _plain_words(comparison)])


def partly_missing(evidence: Evidence) -> Iterator[Finding]:
    """Some parameters newly initialised, some tensors dropped; poolers are benign."""
    comparison = compared(evidence)
    if comparison is None or comparison.mismatched or comparison.conversion:
        return
    if comparison.coverage is not None and comparison.coverage < _MOST and comparison.unexpected:
        return
    missing = [key for key in comparison.missing if not _pooler(key)]
    unexpected = [key for key in comparison.unexpected if not _pooler(key)]
    poolers = len(comparison.missing) + len(comparison.unexpected) - len(missing) - len(unexpected)
    if missing:
        yield _missing(evidence, comparison, missing)
    if unexpected:
        yield finding(
            "class-unused-weights",
            [f"{comparison.model_class} has no place for {len(unexpected):,} tensors: {listing(unexpected, 4)}"],
            title=f"{len(unexpected):,} tensors of the file are not used by {comparison.model_class}",
            fix=_named_class(evidence.checkpoint, comparison),
        )
    if poolers and not missing and not unexpected:
        names = [key for key in (*comparison.missing, *comparison.unexpected) if _pooler(key)]
        yield finding("class-pooler-benign", [f"{listing(names, 4)}"])


def _missing(evidence: Evidence, comparison: Comparison, missing: list[str]) -> Finding:
    tie = next((item for item in comparison.fields if item.field.endswith("tie_word_embeddings")), None)
    share = f"{(comparison.coverage or 0) * 100:.1f} % of the parameters come from this file"
    if tie is not None:
        return finding(
            "config-tie-word-embeddings",
            [f"missing: {listing(missing, 4)}; with tie_word_embeddings true everything matches", share],
            file="config.json",
            fix=(_set_command(evidence.checkpoint, replace(tie, weights=True)),),
        )
    layers = [item for item in comparison.fields if "layer" in item.field]
    if layers:
        item = layers[0]
        return finding(
            "shape-config-mismatch",
            [
                f"{item.field}: config {item.config}, weights {item.weights}",
                f"missing: {listing(missing, 4)}",
                share,
                "the loader raises no exception; the layers are random",
            ],
            title=f"{item.field} is {item.config} in config.json, the weights have {item.weights}",
            file="config.json",
            severity="warning",
            fix=(_set_command(evidence.checkpoint, item),),
        )
    return finding(
        "class-head-newly-init",
        [f"newly initialised in {comparison.model_class}: {listing(missing, 6)}", share],
        title=f"{len(missing):,} parameters of {comparison.model_class} are not in the file and would be random",
        fix=_named_class(evidence.checkpoint, comparison),
    )


def _named_class(checkpoint: Checkpoint, comparison: Comparison) -> tuple[str, ...]:
    """The class that the config names, where it is another; a text that can be no class stands in no snippet."""
    names = checkpoint.settings.get("architectures")
    first = names[0] if isinstance(names, list) and names else None
    if not isinstance(first, str) or not first.isidentifier() or first == comparison.model_class:
        return ()
    return (f"{first}.from_pretrained({checkpoint.path!r})",)


def _pooler(key: str) -> bool:
    return ".pooler." in f".{key}"


def expert_gaps(evidence: Evidence) -> Iterator[Finding]:
    """Experts that are not numbered in a row: the loader renumbers them in silence."""
    checkpoint, groups = evidence.checkpoint, dict[str, set[int]]()
    if ".experts." not in checkpoint.name_text:
        return
    for name in [tensor.name for tensor in checkpoint.tensors if ".experts." in tensor.name]:
        stem, _, rest = name.partition(".experts.")
        number = rest.partition(".")[0]
        if number.isdigit():
            groups.setdefault(stem, set()).add(int(number))
    gaps = {stem: numbers for stem, numbers in groups.items() if numbers != set(range(len(numbers)))}
    if gaps:
        stem, numbers = next(iter(gaps.items()))
        absent = sorted(set(range(max(numbers) + 1)) - numbers)
        yield finding(
            "moe-expert-gap",
            [f"{printable(stem)}.experts: {len(numbers)} experts up to number {max(numbers)}, absent: {absent[:8]}"],
        )
