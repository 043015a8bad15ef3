"""Configs and classes resolved by the library itself, from a text that was never written beside the user's files."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from ckptriage_worker.libraries import transformers


class Stop(Exception):
    """The loader would stop here; carries stage and the exception it raises."""

    def __init__(self, stage: str, error: BaseException, cls: str | None = None) -> None:
        super().__init__(str(error))
        self.stage = stage
        self.error = error
        self.cls = cls


class ConfigPlace:
    """A temporary directory that holds the config alone, gone when left."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.path = ""

    def __enter__(self) -> str:
        self.path = tempfile.mkdtemp(prefix="ckptriage-")
        if self.text is not None:
            with open(os.path.join(self.path, "config.json"), "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(self.text)
        return self.path

    def __exit__(self, *_: Any) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def is_model_class(cls: Any) -> bool:
    """Whether a name of transformers is a model that `from_pretrained` builds."""
    return isinstance(cls, type) and hasattr(cls, "from_pretrained") and hasattr(cls, "config_class")


def default_class(config: dict[str, Any]) -> str:
    """The class the config names, where the library has it, else `AutoModel`."""
    names = config.get("architectures")
    library = transformers()
    if isinstance(names, list) and names and isinstance(names[0], str):
        cls = _attribute(library, names[0])
        if is_model_class(cls):
            return names[0]
    return "AutoModel"


def _attribute(library: Any, name: str) -> Any:
    """An attribute of the library; absent or not importable here gives `None`."""
    if not name.isidentifier():
        return None
    try:
        return getattr(library, name, None)
    except Exception:  # a lazy import of the library that needs an absent package
        return None


def resolve(name: str, text: str | None, shown: str) -> tuple[Any, Any, dict[str, str]]:
    """Class and config as `from_pretrained` gets them; raises `Stop` where it would fail.

    The replacements put the user's path into messages that name the temporary one.
    """
    library = transformers()
    try:
        cls = getattr(library, name) if name.isidentifier() else None
    except Exception as error:
        raise Stop("class", error, name)
    if cls is None or not hasattr(cls, "from_pretrained"):
        message = f"module 'transformers' has no attribute {name!r}"
        raise Stop("class", AttributeError(message), name)
    with ConfigPlace(text) as place:
        replacements = {place: shown}
        try:
            if hasattr(cls, "_model_mapping"):
                return (*_automatic(library, cls, place), replacements)
            if not is_model_class(cls):
                raise TypeError(f"{name} is no model class")
            return cls, concrete(cls, place), replacements
        except Stop as stop:
            raise Stop(stop.stage, _renamed(stop.error, replacements), stop.cls)
        except Exception as error:
            raise Stop("config", _renamed(error, replacements), name)


def _renamed(error: BaseException, replacements: dict[str, str]) -> BaseException:
    """The same kind of error with the user's path in its words."""
    message = str(error)
    for old, new in replacements.items():
        message = message.replace(old, new)
    return type(type(error).__name__, (Exception,), {})(message)


def concrete(cls: Any, place: str) -> Any:
    """The class's own config class reads the directory, whatever model type it names.

    An absent config.json gives the class's defaults, as in the library (`utils/hub.py` and `configuration_utils.py`).
    """
    if cls.config_class is None:
        raise ValueError(
            f"{cls.__name__} does not define `config_class`; pass an explicit config to `from_pretrained`."
        )
    return cls.config_class.from_pretrained(place, local_files_only=True)


def _automatic(library: Any, cls: Any, place: str) -> tuple[Any, Any]:
    """`AutoModel…`: the config by its model type, the class by the mapping (`models/auto/auto_factory.py`)."""
    from transformers.models.auto import auto_factory

    config = library.AutoConfig.from_pretrained(place, trust_remote_code=False, local_files_only=True)
    mapping = cls._model_mapping
    if type(config) in list(mapping.keys()):
        concrete = auto_factory._get_model_class(config, mapping)
        if concrete.config_class == getattr(config, "sub_configs", {}).get("text_config"):
            config = config.get_text_config()
        return concrete, config
    known = ", ".join(item.__name__ for item in mapping)
    message = f"Unrecognized configuration class {config.__class__} for this kind of AutoModel: {cls.__name__}."
    raise Stop("class", ValueError(f"{message}\nModel type should be one of {known}."), cls.__name__)
