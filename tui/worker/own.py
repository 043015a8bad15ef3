"""A class of the user's own against a state dict, in `load_state_dict`'s own words.

The class is imported and built here, in the confined child; the tensors are known by name, dtype and shape alone.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from ckptriage_worker.states import State

_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "module.model.", "model.module.")


def compare(request: dict[str, Any]) -> dict[str, Any]:
    """What `Name().load_state_dict(state)` says, strict and not, as a comparison's answer.

    `request`: `class` (`package.module:Name`), `code` (a directory), `tensors` (`[name, dtype, shape]`), `arguments`
    (keyword arguments for the class, where it needs some), `values` and `config` for a class of transformers' kind.
    Raises what the import or the constructor raises.
    """
    import torch

    state = State(request["tensors"], 0, [])
    target = find(request["class"], request["code"])
    if _is_pretrained(target):
        return _pretrained(target, request, state)
    model = build(target, request.get("arguments") or {}, "meta")
    answer = judge(model, state)
    answer.update(model_class=request["class"], source=f"torch {torch.__version__.partition('+')[0]}", path="live")
    answer["prefixes"] = _with_prefixes(model, state, _differences(answer))
    return answer


def find(name: str, code: str) -> Any:
    """The class or factory `package.module:Name`, imported from `code`."""
    module_name, _, attribute = name.partition(":")
    place = os.path.abspath(code)
    if place not in sys.path:
        sys.path.insert(0, place)
    found: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _is_pretrained(target: Any) -> bool:
    return isinstance(target, type) and hasattr(target, "from_pretrained") and hasattr(target, "config_class")


def build(target: Any, arguments: dict[str, Any], device: str) -> Any:
    """The module, built without arguments where that works, else with those that the checkpoint records."""
    import torch

    def make() -> Any:
        try:
            return target()
        except TypeError:
            if not arguments:
                raise
            return target(**arguments)

    try:
        with torch.device(device):
            model = make()
    except NotImplementedError:  # a constructor that looks at values cannot be built without them
        model = make().to(device)
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"{target!r} gave a {type(model).__name__}, no torch.nn.Module")
    return model.to(device) if device == "meta" else model


def judge(model: Any, state: State) -> dict[str, Any]:
    """Missing, unexpected and mismatched keys as `load_state_dict` finds them, and the error of the strict call."""
    expected = {name: list(value.shape) for name, value in model.state_dict().items()}
    held = {name: state.shape(name) for name in state.meta}
    wrong = {name for name, shape in held.items() if name in expected and shape != expected[name]}
    error = None
    try:
        model.load_state_dict(dict(state.meta), strict=True)
    except Exception as raised:
        error = {"type": type(raised).__name__, "message": str(raised)[:20000]}
    loose = model.load_state_dict(
        {name: value for name, value in state.meta.items() if name not in wrong}, strict=False
    )
    missing = sorted(set(loose.missing_keys) - wrong)
    unexpected = sorted(loose.unexpected_keys)
    good = [name for name in held if name in expected and name not in wrong]
    parameters = {name: value.numel() for name, value in model.named_parameters()}
    return {
        "stage": "done" if error is None else "weights",
        "error": error,
        "loads": error is None,
        "missing": missing,
        "unexpected": unexpected,
        "mismatched": [{"key": name, "checkpoint": held[name], "model": expected[name]} for name in sorted(wrong)],
        "unexpected_shapes": {name: held.get(name) for name in unexpected},
        "matched": len(good),
        "strict_only": error is not None and not wrong,
        "model_parameters": sum(parameters.values()),
        "covered_parameters": sum(count for name, count in parameters.items() if name in held and name not in wrong),
        "rows": [[name, [name] if name in held else [], shape, held.get(name)] for name, shape in expected.items()],
    }


def _differences(answer: dict[str, Any]) -> int:
    return len(answer["missing"]) + len(answer["unexpected"]) + len(answer["mismatched"])


def _with_prefixes(model: Any, state: State, before: int) -> list[dict[str, Any]]:
    """Prefixes that, taken off or put on, make more keys match: `[{prefix, add, differences}]`, best first."""
    out = []
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for prefix in _PREFIXES:
        for add in (False, True):
            names = {(prefix + name if add else _cut(name, prefix)): name for name in state.meta}
            if set(names) == set(state.meta):
                continue
            good = sum(1 for new, old in names.items() if tuple(state.shape(old) or ()) == expected.get(new))
            left = len(expected) + len(names) - 2 * good
            if left < before:
                out.append({"prefix": prefix, "add": add, "differences": left})
    return sorted(out, key=lambda item: item["differences"])


def _cut(name: str, prefix: str) -> str:
    """`str.removeprefix` for Python 3.8."""
    return name[len(prefix) :] if name.startswith(prefix) else name


def _pretrained(cls: Any, request: dict[str, Any], state: State) -> dict[str, Any]:
    """A class of transformers' kind: its own config class, and the loader's bookkeeping."""
    from ckptriage_worker import answers, configs, direct
    from ckptriage_worker.libraries import transformers

    with configs.ConfigPlace(request.get("config")) as place:
        config = configs.concrete(cls, place)
    outcome = direct.compare(cls, config, state)
    answer: dict[str, Any] = {"model_class": request["class"], "source": f"transformers {transformers().__version__}"}
    answers.fill(answer, outcome, state)
    answer.update(path="live", loads=answer["error"] is None, prefixes=[])
    return answer


def loaded(model: Any, info: dict[str, Any]) -> dict[str, Any]:
    """What `from_pretrained` returned, as a load attempt's answer."""
    return {
        "model_class": type(model).__name__,
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "mismatched": [
            {"key": item[0], "checkpoint": list(item[1]), "model": list(item[2])}
            for item in sorted(info["mismatched_keys"])
            if isinstance(item, tuple)
        ],
    }


def load(request: dict[str, Any]) -> dict[str, Any]:
    """A real load: the class built on the CPU, the file read without running its code, `load_state_dict` strict."""
    import torch

    target = find(request["class"], request["code"])
    if _is_pretrained(target):
        return loaded(*target.from_pretrained(request["root"], output_loading_info=True, local_files_only=True))
    model = build(target, request.get("arguments") or {}, "cpu")
    state: dict[str, Any] = {}
    for path in request["paths"]:
        if path.endswith(".safetensors"):
            from safetensors.torch import load_file

            state.update(load_file(path))
        else:
            value = torch.load(path, map_location="cpu", weights_only=not request.get("unpickle"))
            state.update(_contained(value, request.get("container") or ""))
    model.load_state_dict(state, strict=True)
    return {"model_class": type(model).__name__, "keys": sorted(state)[:1000]}


def _contained(value: Any, container: str) -> dict[str, Any]:
    for key in container.split(".") if container else []:
        value = value[key]
    if hasattr(value, "state_dict"):
        value = value.state_dict()
    return dict(value)
