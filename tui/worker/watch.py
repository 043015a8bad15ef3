"""What the checkpoint's code tried, seen by an audit hook: an explanation for the log, not a boundary."""

from __future__ import annotations

import sys
from typing import Any, Callable

_EVENTS = {
    "os.system": "run a command",
    "os.exec": "run a program",
    "os.posix_spawn": "run a program",
    "os.spawn": "run a program",
    "os.fork": "start a process",
    "os.forkpty": "start a process",
    "subprocess.Popen": "run a program",
    "socket.connect": "connect",
    "socket.getaddrinfo": "look up a host",
    "socket.bind": "listen",
    "ctypes.dlopen": "",
    "os.kill": "signal a process",
    "os.remove": "delete a file",
    "os.rename": "rename a file",
    "shutil.rmtree": "delete a tree",
    "webbrowser.open": "open a browser",
    "pty.spawn": "run a program",
}


def install(tell: Callable[[str], None], place: str) -> None:
    """Report attempts from now on; what happens below `place`, the attempt's own directory, is not news."""
    state = {"busy": False, "count": 0}

    def hook(event: str, arguments: Any) -> None:
        words = _EVENTS.get(event, "")
        if not words or state["busy"] or state["count"] > 200:
            return
        state["busy"] = True
        try:
            shown = ", ".join(repr(item)[:200] for item in arguments[:2])
            if place and place in shown:
                return
            state["count"] += 1
            tell(f"tried to {words}: {event} {shown}")
        finally:
            state["busy"] = False

    sys.addaudithook(hook)
