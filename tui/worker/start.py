"""Entry point of the child: `python -I start.py serve|load|base REQUESTS_FD EVENTS_FD`.

Registers this folder as a package of its own without touching `sys.path`, so that the app's packages can never
shadow the environment's.
"""

from __future__ import annotations

import importlib.util
import os
import site
import sys

PACKAGE = "ckptriage_worker"


def register() -> None:
    """Make this folder importable as `ckptriage_worker`."""
    here = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        PACKAGE, os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    if spec is None or spec.loader is None:
        raise ImportError(here)
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)


def restore_paths() -> None:
    """Put back what `-I` left out: the environment's own user site and the paths that the app vouches for."""
    if sys.prefix == sys.base_prefix:
        user = site.getusersitepackages()
        if os.path.isdir(user):
            site.addsitedir(user)
    for entry in os.environ.pop("CKPTRIAGE_PATHS", "").split(os.pathsep):
        if entry and os.path.isabs(entry) and entry not in sys.path:
            sys.path.append(entry)


def die_with_parent() -> None:
    """Ask Linux to end this process when the app ends, however it ends."""
    if sys.platform != "linux":
        return
    try:
        import ctypes
        import signal

        ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGKILL), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def bound_memory(limit: int = 8 << 30) -> None:
    """A comparison needs no weights: a config that asks for gigabytes of modules gets a MemoryError instead."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (ImportError, OSError, ValueError):
        return


def main(arguments: list[str]) -> int:
    """Run one of the three uses of the child."""
    die_with_parent()
    register()
    restore_paths()
    from ckptriage_worker import attempt, serve

    mode, requests, events = arguments[0], int(arguments[1]), int(arguments[2])
    if mode == "load":
        return attempt.run(requests, events)
    if mode == "base":
        from ckptriage_worker import base

        return base.run(requests, events)
    bound_memory()
    return serve.run(requests, events)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
