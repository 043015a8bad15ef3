"""The live path: the real class on the meta device, the loader's own renaming and conversion, its bookkeeping redone.

Mirrors `transformers` 5.23: `modeling_utils.py` `from_pretrained` (4150-4476), `_finalize_model_loading` (4596),
`tie_weights` (2530), `_adjust_missing_and_unexpected_keys` (4916); `core_model_loading.py`
`convert_and_load_state_dict_in_model` (1606). Needs no accelerate. Internals are looked for, never assumed by version.
"""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ckptriage_worker.states import State

MISMATCH = "You set `ignore_mismatched_sizes` to `False`, thus raising an error. For details look at the above report!"
CONVERSION = (
    "We encountered some issues during automatic conversion of the weights. For details look at the `CONVERSION` "
    "entries of the above report!"
)


def applies() -> bool:
    """Whether this transformers has the internals that the live path uses."""
    try:
        from transformers import conversion_mapping, core_model_loading, modeling_utils
    except Exception:
        return False
    return (
        hasattr(conversion_mapping, "get_model_conversion_mapping")
        and hasattr(core_model_loading, "rename_source_key")
        and hasattr(core_model_loading, "dot_natural_key")
        and hasattr(modeling_utils, "_get_dtype")
        and hasattr(modeling_utils.PreTrainedModel, "_adjust_missing_and_unexpected_keys")
    )


class Outcome:
    """What the loader would have collected."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.unexpected: set[str] = set()
        self.mismatched: dict[str, tuple[list[int], list[int]]] = {}
        self.conversion: dict[str, str] = {}
        self.sources: dict[str, list[str]] = {}
        self.renamed: dict[str, str] = {}
        """Names that the rows alone do not tell: unexpected keys, and the first target of a tensor that is split."""

        self.tied: list[tuple[str, str]] = []
        self.shapes: dict[str, list[int]] = {}
        self.crash: BaseException | None = None
        self.ties_unknown: list[tuple[str, str]] = []
        self.parameters: dict[str, int] = {}
        self.raised: dict[str, str] | None = None
        """What the plain call raised, where it was made."""

    def as_json(self) -> dict[str, Any]:
        """What was collected, without the sources, which only the live path knows."""
        return {
            "missing": sorted(self.missing),
            "unexpected": sorted(self.unexpected),
            "mismatched": self.mismatched,
            "conversion": self.conversion,
            "shapes": self.shapes,
            "parameters": self.parameters,
            "raised": self.raised,
        }

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Outcome:
        """The inverse of `as_json`."""
        outcome = cls()
        outcome.missing, outcome.unexpected = set(value["missing"]), set(value["unexpected"])
        outcome.mismatched = {key: (pair[0], pair[1]) for key, pair in value["mismatched"].items()}
        outcome.conversion = value["conversion"]
        outcome.shapes, outcome.parameters = value["shapes"], value["parameters"]
        outcome.raised = value.get("raised")
        return outcome

    def adopt(self, own: Outcome) -> None:
        """Take over what only the live path knows: sources, new names, ties."""
        self.sources, self.renamed = own.sources, own.renamed
        self.tied, self.ties_unknown = own.tied, own.ties_unknown
        self.shapes = self.shapes or own.shapes

    def error(self) -> dict[str, str] | None:
        """What the plain call raises, `None` where it returns a model."""
        if self.raised is not None:
            return self.raised
        if self.crash is not None:
            return {"type": type(self.crash).__name__, "message": str(self.crash)}
        if self.conversion:
            return {"type": "RuntimeError", "message": CONVERSION}
        if self.mismatched:
            return {"type": "RuntimeError", "message": MISMATCH}
        return None


def build(cls: Any, config: Any, state: State, quantizer: Any) -> tuple[Any, Any]:
    """The model on meta in the loader's own init context, and its dtype."""
    from transformers import modeling_utils

    config = copy.deepcopy(config)
    config, dtype = modeling_utils._get_dtype("auto", None, config, None, state.first, True, quantizer)
    config.name_or_path = None
    contexts = _init_contexts(cls, dtype, quantizer is not None)
    config = copy.deepcopy(config)
    with modeling_utils.ContextManagers(contexts):
        model = cls(config)
        if quantizer is not None:
            quantizer.preprocess_model(
                model=model, dtype=dtype, device_map=None, checkpoint_files=None, use_kernels=False
            )
    return model, dtype


def _init_contexts(cls: Any, dtype: Any, quantized: bool) -> list[Any]:
    """`get_init_context` with the arguments that this version takes."""
    values = {
        "dtype": dtype,
        "is_quantized": quantized,
        "_is_ds_init_called": False,
        "allow_all_kernels": None,
    }
    parameters = inspect.signature(cls.get_init_context).parameters
    return cls.get_init_context(**{name: values.get(name) for name in parameters})


def compare(cls: Any, config: Any, state: State, quantizer: Any = None) -> Outcome:
    """Missing, unexpected, mismatched and conversion errors for `cls(config)` loaded from `state`."""
    from transformers.conversion_mapping import get_model_conversion_mapping

    model, _ = build(cls, config, state, quantizer)
    mapping = get_model_conversion_mapping(model, None, quantizer)
    expected = model.state_dict()
    outcome = Outcome()
    outcome.shapes = {name: list(value.shape) for name, value in expected.items()}
    outcome.parameters = {name: parameter.numel() for name, parameter in model.named_parameters()}
    outcome.missing = set(expected)
    groups = _group(model, expected, mapping, state, outcome)
    _apply(model, config, groups, state, outcome, quantizer)
    if outcome.crash is None:
        _finish(model, outcome, state)
    return outcome


def _group(model: Any, expected: dict[str, Any], mapping: list[Any], state: State, outcome: Outcome) -> dict[str, Any]:
    """Checkpoint keys by the model key they load into: `{model key: (converter or None, {pattern: [keys]})}`."""
    from transformers.core_model_loading import WeightConverter

    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    by_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    groups: dict[str, Any] = {}
    for original, renamed, pattern in _renames(model, expected, mapping, converters, state):
        if renamed in expected:
            if pattern is not None:
                entry = groups.setdefault(renamed, (by_pattern[pattern], {}))
                entry[1].setdefault(pattern, []).append(original)
            else:
                entry = groups.setdefault(renamed, (None, {}))
                entry[1].setdefault(original, []).append(original)
            if pattern is not None and len(by_pattern[pattern].target_patterns) > 1:
                outcome.renamed[original] = renamed
        elif pattern is not None:
            targets = by_pattern[pattern].target_patterns
            for target in targets:
                outcome.unexpected.add(renamed.replace(targets[0], target))
        else:
            outcome.unexpected.add(renamed)
            if renamed != original:
                outcome.renamed[original] = renamed
    return groups


def _renames(
    model: Any, expected: dict[str, Any], mapping: list[Any], converters: list[Any], state: State
) -> list[tuple[str, str, str | None]]:
    """(checkpoint key, model key, converter pattern) in the loader's order, remembered."""
    from transformers.core_model_loading import WeightRenaming, dot_natural_key, rename_source_key

    prefix = model.base_model_prefix
    signature = (prefix, tuple(_signature(entry) for entry in mapping), hash(tuple(expected)))
    kept = state.renames.get(signature)
    if kept is not None:
        return kept
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    out: list[tuple[str, str, str | None]] = []
    for original in state.ordered(dot_natural_key):
        renamed, pattern = rename_source_key(original, renamings, converters, prefix, expected)
        if renamed not in expected and original in expected:
            renamed, pattern = rename_source_key(original, [], [], base_model_prefix=prefix, meta_state_dict=expected)
        out.append((original, renamed, pattern))
    if len(state.renames) > 8:
        state.renames.clear()
    state.renames[signature] = out
    return out


def _signature(entry: Any) -> Any:
    """A rule's identity for the memo."""
    return (
        type(entry).__name__,
        tuple(entry.source_patterns),
        tuple(entry.target_patterns),
        getattr(entry, "scope_prefix", None),
        getattr(entry, "base_model_prefix", None),
    )


def _apply(model: Any, config: Any, groups: dict[str, Any], state: State, outcome: Outcome, quantizer: Any) -> None:
    """Play each group out: plain ones by shape, converted ones through the loader's own operations on meta tensors."""
    memo: dict[Any, Any] = {}
    for target, (converter, sources) in groups.items():
        names = [name for group in sources.values() for name in group]
        if converter is None:
            _set(outcome, model, target, state.meta[names[0]], names[:1])
            continue
        try:
            realized = _convert(model, config, converter, target, sources, state, outcome, quantizer, memo)
        except _Skip:
            outcome.sources[target] = names
            continue
        except Exception as error:
            outcome.crash = error
            return
        for name, value in realized.items():
            value = value[0] if isinstance(value, list) else value
            try:
                _set(outcome, model, name, value, names)
            except Exception as error:
                outcome.crash = error
                return


class _Skip(Exception):
    """The conversion failed and was noted."""


class _Info:
    """The parts of `LoadStateDictInfo` that conversion operations look at."""

    def __init__(self, outcome: Outcome) -> None:
        self.missing_keys = outcome.missing
        self.conversion_errors = outcome.conversion
        self.unexpected_keys = outcome.unexpected


_PURE = {"MergeModulelist", "Concatenate", "Transpose", "Interleave", "Chunk", "Split"}


def _convert(
    model: Any,
    config: Any,
    converter: Any,
    target: str,
    sources: dict[str, list[str]],
    state: State,
    outcome: Outcome,
    quantizer: Any,
    memo: dict[Any, Any],
) -> dict[str, Any]:
    """Run one converter; groups of like inputs are converted once."""
    from transformers.core_model_loading import SkipParameters

    pure = quantizer is None and all(type(op).__name__ in _PURE for op in converter.operations)
    shapes = tuple((pattern, tuple([state.form(name) for name in names])) for pattern, names in sources.items())
    key = (id(converter), shapes)
    if pure and key in memo:
        first, realized = memo[key]
        return {_moved(name, first, target): value for name, value in realized.items()}
    instance = copy.deepcopy(converter)
    for pattern, names in sources.items():
        for name in names:
            instance.add_tensor(target, name, pattern, _Ready(state.meta[name]))
    try:
        realized = instance.convert(
            target, model=model, config=model.config, hf_quantizer=quantizer, loading_info=_Info(outcome)
        )
    except SkipParameters:
        raise _Skip()
    if pure and all(_is_moved(name, target) for name in realized):
        memo[key] = (target, realized)
    return realized


def _is_moved(name: str, target: str) -> bool:
    """Whether a result's name differs from the target's in its last parts only, so that it can follow a move."""
    return name.split(".")[:-2] == target.split(".")[:-2]


def _moved(name: str, first: str, target: str) -> str:
    """The result's name in another group."""
    if name == first:
        return target
    head, old = target.split("."), first.split(".")
    tail = name.split(".")
    return ".".join(head[: len(old) - 2] + tail[len(old) - 2 :])


class _Ready:
    """A tensor that is there already, callable and awaitable like the loader's futures."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __call__(self) -> Any:
        return self.tensor

    def result(self) -> Any:
        """The tensor."""
        return self.tensor


def _set(outcome: Outcome, model: Any, target: str, value: Any, sources: list[str]) -> None:
    """`set_param_for_module`: the key is no longer missing, and mismatched where the shapes differ."""
    expected = outcome.shapes.get(target)
    if expected is None:
        path, _, name = target.rpartition(".")
        owner = model.get_submodule(path) if path else model
        if getattr(owner, name) is None:
            outcome.unexpected.add(target)
            return
        expected = list(getattr(owner, name).shape)
    outcome.missing.discard(target)
    outcome.sources[target] = sources
    shape = list(value.shape)
    if shape != expected:
        outcome.mismatched[target] = (shape, expected)


def _finish(model: Any, outcome: Outcome, state: State) -> None:
    """Tie and clean up as `_finalize_model_loading` does, through the model's own methods."""
    from transformers.utils import loading_report

    tied = dict(getattr(model, "all_tied_weights_keys", {}) or {})
    outcome.tied = sorted(tied.items())
    for target, source in tied.items():
        if target not in outcome.missing and source not in outcome.missing:
            outcome.ties_unknown.append((target, source))
            if target in outcome.mismatched:
                return
    info = _loading_info(loading_report, outcome)
    model.tie_weights(missing_keys=info.missing_keys, recompute_mapping=False)
    model._adjust_missing_and_unexpected_keys(info)
    outcome.missing = set(info.missing_keys)
    outcome.unexpected = set(info.unexpected_keys)


def _loading_info(module: Any, outcome: Outcome) -> Any:
    """The library's own container with our sets."""
    import dataclasses

    values = {
        "missing_keys": outcome.missing,
        "unexpected_keys": outcome.unexpected,
        "mismatched_keys": set(),
        "conversion_errors": {},
        "error_msgs": [],
    }
    cls = module.LoadStateDictInfo
    return cls(**{field.name: values.get(field.name, set()) for field in dataclasses.fields(cls)})
