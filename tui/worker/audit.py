"""The audit: the public loader itself, fed with meta tensors. Touches no byte of weight, needs accelerate."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from ckptriage_worker.direct import Outcome

if TYPE_CHECKING:
    from ckptriage_worker.states import State


def compare(cls: Any, config: Any, state: State) -> Outcome:
    """`from_pretrained(None, config=…, state_dict=…, device_map="meta", ignore_mismatched_sizes=True)`.

    Raises what the call raises before it has collected anything; conversion errors come back in the outcome.
    """
    from transformers import modeling_utils

    captured: list[Any] = []
    original = getattr(modeling_utils, "log_state_dict_report", None)

    def capture(*arguments: Any, **keywords: Any) -> Any:
        info = keywords.get("loading_info")
        if info is not None:
            captured.append(info)
        return original(*arguments, **keywords) if original is not None else None

    if original is not None:
        modeling_utils.log_state_dict_report = capture
    outcome = Outcome()
    info: Any = None
    try:
        model, info = cls.from_pretrained(
            None,
            config=copy.deepcopy(config),
            state_dict=state.separate(),
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        outcome.shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
        outcome.parameters = {name: value.numel() for name, value in model.named_parameters()}
    except RuntimeError as error:
        if not captured or not getattr(captured[-1], "conversion_errors", None):
            raise
        info = captured[-1].to_dict()
        outcome.conversion = {key: str(value) for key, value in captured[-1].conversion_errors.items()}
        del error
    finally:
        if original is not None:
            modeling_utils.log_state_dict_report = original
    _fill(outcome, info, state)
    return outcome


def plain_error(cls: Any, config: Any, state: State) -> dict[str, str] | None:
    """What the call without `ignore_mismatched_sizes` raises, in this version's own words."""
    try:
        cls.from_pretrained(None, config=copy.deepcopy(config), state_dict=state.separate(), device_map="meta")
    except Exception as error:
        return {"type": type(error).__name__, "message": str(error)[:20000]}
    return None


def _fill(outcome: Outcome, info: Any, state: State) -> None:
    """Sets from the loader's own dictionary; 4.x gives mismatched keys without shapes."""
    outcome.missing = set(info["missing_keys"])
    outcome.unexpected = set(info["unexpected_keys"])
    for item in info["mismatched_keys"]:
        if isinstance(item, (tuple, list)):
            outcome.mismatched[item[0]] = (list(item[1]), list(item[2]))
        else:
            name = str(item)
            outcome.mismatched[name] = (state.shape(name) or [], outcome.shapes.get(name, []))
