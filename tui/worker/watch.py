"""What the checkpoint's code tried, seen by an audit hook: an explanation for the log, not a boundary."""

from __future__ import annotations

import os
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


_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def _describes_system(path: str) -> bool:
    """Whether a file is the kernel's own account of the machine or of this process, which libraries read at import."""
    parts = path.split("/")
    if parts[1] == "sys" or (parts[1] == "proc" and len(parts) == 3):
        return True
    own = parts[1] == "proc" and len(parts) == 4 and parts[2] in ("self", str(os.getpid()))
    return own and parts[3] not in ("mem", "root", "cwd", "environ")


def _opened(arguments: Any, place: str, readable: list[str]) -> str:
    """What to say of a file that is opened: one outside of what may be read, or written outside of `place`."""
    path, _, flags = arguments
    if not isinstance(path, (str, bytes)) or not isinstance(flags, int):
        return ""
    full = os.path.abspath(os.fsdecode(path))
    inside = [place, "/dev/null"] if flags & _WRITES else [place, *readable]
    known = any(full == root or full.startswith(root.rstrip("/") + "/") for root in inside if root)
    if known or "/__pycache__/" in full or (not flags & _WRITES and _describes_system(full)):
        return ""
    return "write" if flags & _WRITES else "read"


def install(tell: Callable[[str], None], place: str, readable: list[str]) -> None:
    """Report attempts from now on; what happens below `place`, the attempt's own directory, is not news.

    Reading below `readable` is no news either; beyond it Landlock refuses, and the line says what was wanted.
    """
    state = {"busy": False, "count": 0}
    below = tuple(root.rstrip("/") + "/" for root in [place, *readable] if root)

    def hook(event: str, arguments: Any) -> None:
        if event == "open" and not state["busy"]:
            path, _, flags = arguments
            # what an import opens by the thousand: plain to read, below what may be read
            plain = type(path) is str and type(flags) is int and not flags & _WRITES
            if plain and path.startswith(below) and ".." not in path:
                return
            words = _opened(arguments, place, readable)
        else:
            words = _EVENTS.get(event, "")
        if not words or state["busy"] or state["count"] > 200:
            return
        state["busy"] = True
        try:
            shown = ", ".join(repr(item)[:200] for item in arguments[:2])
            if place and place in shown:
                return
            if event == "open":
                shown = repr(arguments[0])[:200]
            state["count"] += 1
            tell(f"tried to {words}: {event} {shown}")
        finally:
            state["busy"] = False

    sys.addaudithook(hook)
