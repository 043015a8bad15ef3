"""Classes that a checkpoint could be, ranked by how many of the file's tensors they take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ckptriage_worker import configs, direct
from ckptriage_worker.libraries import transformers

if TYPE_CHECKING:
    from ckptriage_worker.states import State

_BUDGET = 4.0
_MOST = 24


def names_for(values: dict[str, Any]) -> list[str]:
    """Classes from `architectures`, then every auto mapping's class for the model type."""
    library = transformers()
    names: dict[str, None] = {}
    named = values.get("architectures")
    for name in named if isinstance(named, list) else []:
        if isinstance(name, str) and configs.is_model_class(configs._attribute(library, name)):
            names[name] = None
    model_type = values.get("model_type")
    try:
        from transformers.models.auto import modeling_auto
    except Exception:
        return list(names)
    for attribute in sorted(vars(modeling_auto)):
        mapping = getattr(modeling_auto, attribute)
        if attribute.startswith("MODEL_") and attribute.endswith("_MAPPING_NAMES") and model_type in mapping:
            found = mapping[model_type]
            for name in found if isinstance(found, (tuple, list)) else [found]:
                names.setdefault(name, None)
    return list(names)


def rank(request: dict[str, Any], state: State | None) -> list[dict[str, Any]]:
    """`[{class, matched, missing, unexpected, mismatched}]`, best first; `matched` is a share of the file."""
    values = request.get("values") or {}
    if state is None or not direct.applies():
        return [{"class": name, "matched": None} for name in names_for(values)]
    deadline = time.process_time() + _BUDGET
    out = []
    also = [name for name in request.get("also") or [] if isinstance(name, str)]
    for name in list(dict.fromkeys([*also, *names_for(values)]))[:_MOST]:
        if time.process_time() > deadline:
            out.append({"class": name, "matched": None})
            continue
        out.append(_one(name, request, state))
    return sorted(out, key=lambda item: _worth(item))


def _one(name: str, request: dict[str, Any], state: State) -> dict[str, Any]:
    try:
        cls, config, _ = configs.resolve(name, request.get("config"), "")
        outcome = direct.compare(cls, config, state)
    except Exception as error:  # a class that cannot be built here is listed without a figure
        return {"class": name, "matched": None, "error": f"{type(error).__name__}: {str(error)[:200]}"}
    used = {key for target, keys in outcome.sources.items() if target not in outcome.mismatched for key in keys}
    total = max(len(state.meta), 1)
    return {
        "class": cls.__name__,
        "matched": round(len(used) / total, 4),
        "missing": len(outcome.missing),
        "unexpected": len(outcome.unexpected),
        "mismatched": len(outcome.mismatched),
    }


def _worth(item: dict[str, Any]) -> Any:
    """Most of the file taken, least left random, heads before the bare model."""
    if item["matched"] is None:
        return (1, 0, 0)
    return (0, -item["matched"], item.get("missing", 0) + item.get("mismatched", 0))
