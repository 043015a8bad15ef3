"""A real load attempt: the real loader on the real files, one stage after the other, then the process ends."""

from __future__ import annotations

import os
import sys
import time
import traceback
from typing import Any

from ckptriage_worker import confine, own, watch
from ckptriage_worker.channel import Channel
from ckptriage_worker.libraries import error_of, versions


class Attempt:
    """One attempt; each stage is announced before it begins and measured when it ends."""

    def __init__(self, channel: Channel, request: dict[str, Any]) -> None:
        self.channel = channel
        self.request = request
        self.stage = ""
        self._began = time.monotonic()

    def enter(self, stage: str) -> None:
        """Announce a stage."""
        now = time.monotonic()
        if self.stage:
            self.channel.send("stage", stage=self.stage, seconds=now - self._began, done=True)
        self.stage, self._began = stage, now
        self.channel.send("stage", stage=stage, done=False)

    def run(self) -> dict[str, Any]:
        """Load as asked; the answer holds what came back."""
        if self.request.get("op") == "compare":
            self.enter("build")
            return own.compare(self.request)
        if self.request.get("code"):
            self.enter("load")
            return own.load(self.request)
        loader = self.request.get("loader") or "transformers"
        if loader == "transformers":
            return self._transformers()
        if loader == "torch":
            return self._torch()
        if loader == "safetensors":
            return self._safetensors()
        if loader == "pickle":
            return self._pickle()
        if loader in _FORMAT_LOADERS:
            self.enter("import")
            load = _FORMAT_LOADERS[loader]
            return load(self)
        from ckptriage_worker import tensorflow_models

        if loader in tensorflow_models.LOADERS:
            return tensorflow_models.run(self, loader)
        raise ValueError(f"no loader named {loader!r}")

    def _transformers(self) -> dict[str, Any]:
        """`CLASS.from_pretrained(path)`."""
        self.enter("import")
        import torch
        import transformers

        path = self.request["path"]
        cls = self._class(transformers)
        self.enter("config")
        keywords: dict[str, Any] = {"output_loading_info": True, "local_files_only": True}
        if self.request.get("trust_remote_code"):
            keywords["trust_remote_code"] = True
        if self.request.get("dtype") not in (None, "auto"):
            keywords["dtype"] = getattr(torch, self.request["dtype"])
        if self.request.get("changes"):
            keywords["config"] = self._edited_config(cls)
        self.enter("load")
        model, info = cls.from_pretrained(path, **keywords)
        device = self.request.get("device") or "cpu"
        if device != "cpu":
            self.enter("device")
            model.to("cuda" if device == "auto" else device)
        answer = own.loaded(model, info)
        if self.request.get("forward"):
            self.enter("forward")
            answer["forward"] = _forward(model, self.request)
        return answer

    def _class(self, library: Any) -> Any:
        """The class by name: a public one, the one the config names, else AutoModel."""
        from ckptriage_worker.configs import default_class

        name = self.request.get("class") or default_class(self.request.get("values") or {})
        self.channel.send("class", model_class=name)
        return getattr(library, name)

    def _edited_config(self, cls: Any) -> Any:
        """An edited config, read by the library from a place of its own."""
        import json

        from ckptriage_worker import configs, edits

        values = self.request.get("values") or {}
        changed, notes = edits.changed(values, self.request["changes"], edits.class_of(cls.__name__, values))
        for words in notes:
            self.channel.send("tried", words=words)
        return configs.resolve(cls.__name__, json.dumps(changed), self.request["path"])[1]

    def _torch(self) -> dict[str, Any]:
        """`torch.load(weights_only=True)` on the CPU; the full unpickler only with consent."""
        self.enter("import")
        import torch

        self.enter("load")
        value = torch.load(self.request["path"], map_location="cpu", weights_only=not self.request.get("unpickle"))
        return {"model_class": type(value).__name__, "keys": _keys(value)}

    def _safetensors(self) -> dict[str, Any]:
        """Every tensor through `safe_open`."""
        self.enter("import")
        from safetensors import safe_open

        framework = "pt" if _importable("torch") else "np"
        self.enter("load")
        names = []
        for path in self.request.get("paths") or [self.request["path"]]:
            with safe_open(path, framework=framework) as file:
                held = file.keys()
                for name in held:
                    file.get_tensor(name)
                    names.append(name)
        return {"model_class": None, "keys": names[:1000]}

    def _pickle(self) -> dict[str, Any]:
        """`pickle.load`: only with consent."""
        import pickle

        self.enter("load")
        with open(self.request["path"], "rb") as file:
            value = pickle.load(file)  # consent was given in the app for this file and these names
        return {"model_class": type(value).__name__, "keys": _keys(value)}


def _numpy(attempt: Attempt) -> dict[str, Any]:
    """`numpy.load`; objects only with consent."""
    import numpy

    attempt.enter("load")
    value = numpy.load(attempt.request["path"], allow_pickle=bool(attempt.request.get("unpickle")))
    if hasattr(value, "files"):
        arrays = {name: value[name] for name in value.files}
        return {"model_class": "NpzFile", "keys": list(arrays)[:1000]}
    return {"model_class": type(value).__name__, "keys": None}


def _onnx(attempt: Attempt) -> dict[str, Any]:
    """`onnx.load` with its external data, then the checker."""
    import onnx

    attempt.enter("load")
    model = onnx.load(attempt.request["path"])
    attempt.enter("check")
    onnx.checker.check_model(attempt.request["path"])
    return {"model_class": "ModelProto", "keys": [item.name for item in model.graph.initializer][:1000]}


def _gguf(attempt: Attempt) -> dict[str, Any]:
    """`gguf.GGUFReader`."""
    import gguf

    attempt.enter("load")
    reader = gguf.GGUFReader(attempt.request["path"])
    return {"model_class": "GGUFReader", "keys": [item.name for item in reader.tensors][:1000]}


def _joblib(attempt: Attempt) -> dict[str, Any]:
    """`joblib.load`: only with consent, as with any pickle."""
    import joblib

    attempt.enter("load")
    value = joblib.load(attempt.request["path"])
    return {"model_class": type(value).__name__, "keys": _keys(value)}


_FORMAT_LOADERS = {"numpy": _numpy, "onnx": _onnx, "gguf": _gguf, "joblib": _joblib}
"""Formats whose official reader is a function of one library."""


def _importable(name: str) -> bool:
    from ckptriage_worker.libraries import has

    return has(name)


def _keys(value: Any) -> Any:
    """Names at the top of what was loaded."""
    return [str(key) for key in list(value)[:1000]] if isinstance(value, dict) else None


def _forward(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    """One pass on a short input; through the tokenizer where there is one."""
    import torch
    import transformers

    inputs: dict[str, Any] = {}
    try:
        if request.get("has_tokenizer"):
            place = request.get("tokenizer") or request["path"]
            tokenizer = transformers.AutoTokenizer.from_pretrained(place, local_files_only=True)
            inputs = dict(
                tokenizer(request.get("text") or "Angela Merkel visited London in 2012.", return_tensors="pt")
            )
    except Exception:  # the model is what is tried; the tokenizer has its own report
        inputs = {}
    if not inputs:
        inputs = dict(model.dummy_inputs)
    with torch.no_grad():
        output = model(**{key: value.to(model.device) for key, value in inputs.items()})
    first = next((value for value in output.values() if isinstance(value, torch.Tensor)), None)
    if first is None:
        return {"shape": None, "finite": None}
    return {"shape": list(first.shape), "finite": bool(torch.isfinite(first.float()).all())}


class NotIsolated(Exception):
    """Consent was for an isolated attempt only."""


def _confine(channel: Channel, request: dict[str, Any]) -> None:
    """Shut this process in, say which layers hold, and watch what is tried inside."""
    place = os.environ.get("HOME", "")
    held = confine.apply(
        [os.path.dirname(os.path.abspath(__file__)), *(request.get("readable") or [])],
        [place],
        gpu=(request.get("device") or "cpu") != "cpu",
    )
    level = confine.level(held)
    layers = {key: held[key] for key in ("landlock", "seccomp", "limits")}
    channel.send("confined", level=level, layers=layers, notes=held["notes"])
    if request.get("must_isolate") and not held["landlock"]:
        raise NotIsolated("the file system is not shut off here: {}".format("; ".join(held["notes"])))
    readable = confine.readable_paths([os.path.dirname(os.path.abspath(__file__)), *(request.get("readable") or [])])
    watch.install(lambda words: channel.send("tried", words=words), place, readable)


def run(requests: int, events: int) -> int:
    """One request, one attempt, one end."""
    channel = Channel(requests, events)
    request: dict[str, Any] | None = next(channel.requests(), None)
    if request is None:
        return 0
    channel.send("hello", executable=sys.executable, packages=versions(), pid=os.getpid())
    attempt = Attempt(channel, request)
    try:
        _confine(channel, request)
        answer = attempt.run()
    except BaseException as error:  # whatever the loader raises is the result
        sys.stdout.flush()
        sys.stderr.flush()
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        channel.send("end", outcome="failed", stage=attempt.stage, error=dict(error_of(error), traceback=text[-60000:]))
        return 1
    sys.stdout.flush()
    sys.stderr.flush()
    channel.send("end", outcome="loaded", stage=attempt.stage, answer=answer)
    return 0
