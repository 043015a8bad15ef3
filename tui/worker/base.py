"""What this interpreter holds before any model: the libraries are imported as a load attempt imports them."""

from __future__ import annotations

import sys
from typing import Any

from ckptriage_worker.channel import Channel
from ckptriage_worker.libraries import error_of, versions


def run(requests: int, events: int) -> int:
    """One request with the values of a config, one answer with sizes in bytes, then the process ends."""
    channel = Channel(requests, events)
    request = next(channel.requests(), None)
    if request is None:
        return 0
    try:
        name = _import(request)
        channel.send("base", model_class=name, packages=versions(), **held())
    except Exception as error:  # an environment that cannot import its libraries is an answer
        channel.send("failed", error=error_of(error))
        return 1
    return 0


def _import(request: dict[str, Any]) -> str:
    """Import what the loader of this kind imports; the class it would load, empty for a plain torch file."""
    import torch  # noqa: F401

    if request.get("loader") != "transformers":
        return ""
    import transformers
    from ckptriage_worker.configs import default_class

    name = request.get("class") or default_class(request.get("values") or {})
    getattr(transformers, name)
    return str(name)


def held() -> dict[str, Any]:
    """Anonymous, file-backed and virtual size of this process; `None` where the system does not tell."""
    sizes: dict[str, Any] = {"anonymous": None, "file": None, "virtual": None}
    names = {"RssAnon": "anonymous", "RssFile": "file", "VmData": "virtual"}
    if not sys.platform.startswith("linux"):
        return sizes
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            key, _, rest = line.partition(":")
            words = rest.split()
            if key in names and words:
                sizes[names[key]] = int(words[0]) * 1024
    return sizes
