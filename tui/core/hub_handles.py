"""What a TensorFlow Hub handle says by itself: publisher, model, version, and for BERT what that version is.

The versions are those of tfhub.dev's own documentation (`tensorflow/tfhub.dev`, `assets/docs`): `google/bert…/1` is
"format: hub" (`hub.Module`), version 3 of `tensorflow/bert_en…` "Uses dicts (not lists) for inputs and outputs",
version 4 adds support for persistent gradient tapes.
"""

from __future__ import annotations

import re

from tui.core.record import Record

_URL = re.compile(r"^(?:https?://)?(?:www\.)?(?P<host>tfhub\.dev|kaggle\.com(?:/models)?)/(?P<rest>[^?#]+)", re.ASCII)
_PLAIN = re.compile(r"^(?P<publisher>[\w.-]+)/(?P<name>[\w./-]+?)/(?P<version>\d{1,4})$", re.ASCII)
_KAGGLE = re.compile(
    r"^(?P<publisher>[\w.-]+)/(?P<name>[\w.-]+)/(?:frameworks/)?(?P<framework>tensorFlow[12]|keras|pyTorch|transformers|tfLite|jax)"
    r"/(?:variations/)?(?P<variation>[\w.-]+)(?:/(?:versions/)?(?P<version>\d{1,4}))?$",
    re.ASCII | re.IGNORECASE,
)


_PUBLISHERS = frozenset({"google", "tensorflow", "google-research", "deepmind", "nvidia", "microsoft", "mediapipe"})
"""Publishers whose handles are known without the host; `models/run/1` of anybody else is a path that is not there."""


class Handle(Record, frozen=True):
    """A handle in its parts."""

    text: str
    publisher: str
    name: str
    version: int | None
    framework: str = ""
    """Kaggle's: `tensorFlow1`, `tensorFlow2`, …; empty for a handle of tfhub.dev."""

    variation: str = ""

    @property
    def url(self) -> str:
        """The URL that tensorflow-hub takes; a handle without `https://` it takes for a local path."""
        if self.framework:
            parts = [self.publisher, self.name, self.framework, self.variation, str(self.version or 1)]
            return f"https://www.kaggle.com/models/{'/'.join(parts)}"
        version = f"/{self.version}" if self.version is not None else ""
        return f"https://tfhub.dev/{self.publisher}/{self.name}{version}"


def parse(text: str) -> Handle | None:
    """The handle that `text` is, `None` where it is none."""
    url = _URL.match(text)
    rest = url["rest"].strip("/") if url is not None else text
    kaggle = _KAGGLE.match(rest)
    if kaggle is not None:
        version = int(kaggle["version"]) if kaggle["version"] else None
        return Handle(text, kaggle["publisher"], kaggle["name"], version, kaggle["framework"], kaggle["variation"])
    plain = _PLAIN.match(rest)
    if plain is not None and (url is not None or plain["publisher"] in _PUBLISHERS):
        return Handle(text, plain["publisher"], plain["name"], int(plain["version"]))
    if url is not None and "/" in rest:
        publisher, _, name = rest.partition("/")
        return Handle(text, publisher, name, None)
    return None


def explain(handle: Handle) -> tuple[str, ...]:
    """What the name and version tell, a sentence each; what cannot be told is not guessed."""
    lines: list[str] = []
    low = f"{handle.name} {handle.variation}".lower()
    if handle.framework:
        lines.append(f"Kaggle's {handle.framework} variation {handle.variation} of {handle.publisher}/{handle.name}")
    bert = "bert" in low
    if bert and "preprocess" in low:
        lines.append(
            "a preprocessing model: a vector of texts in, a dict of int32 ids out; needs import tensorflow_text"
        )
    elif bert:
        lines += _bert(handle)
    if not handle.text.startswith(("http://", "https://")):
        lines.append(f"tensorflow-hub wants it as {handle.url}; without https:// it is taken for a local path")
    if handle.version is None:
        lines.append("it names no version, which tfhub.dev asks for at the end (/1)")
    return tuple(lines)


def _bert(handle: Handle) -> list[str]:
    """What the version of a BERT encoder means."""
    if handle.framework.lower() == "tensorflow1" or (
        handle.publisher == "google" and handle.version == 1 and not handle.framework
    ):
        return [
            "TensorFlow 1's hub.Module: under TensorFlow 2 it loads and cannot be called",
            'use hub.KerasLayer(handle, signature="tokens", signature_outputs_as_dict=True), or '
            "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/4",
        ]
    if handle.publisher != "tensorflow" or handle.version is None or handle.framework:
        return []
    if handle.version <= 2:
        ins = "[input_word_ids, input_mask, input_type_ids]"
        return [f"TensorFlow 2, the older API: a list {ins} in, (pooled, sequence) out"]
    lines = [
        "TensorFlow 2: a dict of input_word_ids, input_mask, input_type_ids in, a dict out",
        "text goes through its preprocessing model first",
    ]
    if handle.version >= 4:
        lines.append("version 4 is version 3 with support for persistent gradient tapes")
    return lines
