"""Opening files that may be anything: regular files only, never blocking, read by `pread` and never mapped.

A mapped file that shrinks kills the process with SIGBUS, a FIFO named `model.safetensors` blocks `open` for
ever, and a link may lead to `/dev/zero`. So: non-blocking open, `fstat`, and bounded positional reads.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tui.core.problems import Problem
from tui.core.text import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)


_FIRST = 1 << 15
"""What is read at once where a file's beginning is asked for: the whole header of most, in one round to the disk."""


class FileProblem(Exception):
    """A file cannot be read; carries the located problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class RegularFile:
    """An open regular file of known size, read by position; as a context it is closed at the end."""

    def __init__(self, descriptor: int, path: Path, name: str, status: os.stat_result) -> None:
        self.descriptor = descriptor
        self.path = path
        self.name = name
        """The name shown to the user, relative to the checkpoint."""
        self._head = b""
        self.size = status.st_size
        self.modified = status.st_mtime_ns
        self.identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        """Device, inode, size and modification time: another file, or a changed one, has another."""
        self.blocks = status.st_blocks * 512
        """Bytes that the file system has allocated; fewer than `size` means holes."""

    def __enter__(self) -> RegularFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset`, or `FileProblem` where the file ends before."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise FileProblem(
                Problem(
                    "file-truncated",
                    f"ends at byte {self.size:,}, {count:,} bytes were expected at {offset:,}",
                    self.name,
                    offset,
                )
            )
        if offset + count <= len(self._head):
            return self._head[offset : offset + count]
        chunks: list[bytes] = []
        while count > 0:
            chunk = os.pread(self.descriptor, min(count, 1 << 24), offset)
            if not chunk:
                raise FileProblem(Problem("file-changed", "shrank while it was read", self.name, offset))
            chunks.append(chunk)
            offset += len(chunk)
            count -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fill `view` with the bytes from `offset`, or `FileProblem` where the file has become shorter."""
        while len(view):
            count = os.preadv(self.descriptor, [view], offset)
            if not count:
                raise FileProblem(Problem("file-changed", "shrank while it was read", self.name, offset))
            offset += count
            view = view[count:]

    def holes(self) -> Iterator[tuple[int, int]]:
        """(begin, end) of stretches that were never written; none where the file system does not say."""
        if self.blocks >= self.size or not hasattr(os, "SEEK_HOLE"):
            return
        position = 0
        while position < self.size:
            try:
                begin = os.lseek(self.descriptor, position, os.SEEK_HOLE)
                if begin >= self.size:
                    return
                end = os.lseek(self.descriptor, begin, os.SEEK_DATA)
            except OSError:  # ENXIO: no data after the hole
                end = self.size
            yield begin, end
            position = end

    def head(self, count: int = 512) -> bytes:
        """The first bytes, as many as there are; asked for again they are not read again."""
        wanted = min(count, self.size)
        if len(self._head) < wanted:
            self._head = self.read(0, min(max(count, _FIRST), self.size))
        return self._head[:wanted]


def open_regular(path: Path, name: str = "") -> RegularFile:
    """`path` as a `RegularFile`; anything else raises `FileProblem` and is never waited for."""
    shown = name or path.name
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise FileProblem(_cannot_open(path, shown, error)) from None
    except ValueError:
        raise FileProblem(Problem("file-unreadable", "the name holds a NUL byte", shown)) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FileProblem(Problem("file-not-regular", f"is {kind_of(status.st_mode)}, not a regular file", shown))
    return RegularFile(descriptor, path, shown, status)


class KeptOpen:
    """Regular files of one directory, the last one kept open: tensors come one after another from the same file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held = ExitStack()
        self._name: str | None = None
        self._file: RegularFile | None = None

    def file(self, name: str) -> RegularFile:
        """The file under `name`, or `FileProblem`."""
        if self._file is None or self._name != name:
            self.close()
            self._file = self._held.enter_context(open_regular(self.root / name, name))
            self._name = name
        return self._file

    def close(self) -> None:
        """Close what is open."""
        self._held.close()
        self._file = None


def read_small(path: Path, name: str = "", limit: int = 64 << 20) -> bytes:
    """The whole of a regular file of at most `limit` bytes."""
    with open_regular(path, name) as file:
        if file.size > limit:
            raise FileProblem(
                Problem("file-too-large", f"has {count_of(file.size, 'byte')}, at most {limit:,} are read", file.name)
            )
        return file.read(0, file.size)


def kind_of(mode: int) -> str:
    """What a file mode stands for, in words."""
    for test, words in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISLNK, "a symbolic link"),
    ):
        if test(mode):
            return words
    return "a regular file" if stat.S_ISREG(mode) else "no regular file"


def _cannot_open(path: Path, name: str, error: OSError) -> Problem:
    """Why `open` failed, told apart where the cure differs."""
    if error.errno == errno.ENOENT and path.is_symlink():
        target = os.readlink(path)
        return Problem("hub-dangling-symlink", f"is a link to {target}, which does not exist", name)
    if error.errno == errno.ELOOP:
        return Problem("file-link-loop", "is a symbolic link that leads back to itself", name)
    if error.errno in (errno.EACCES, errno.EPERM):
        said = ("PermissionError", f"[Errno {error.errno}] {error.strerror}: '{path}'")
        if name.endswith(".safetensors"):  # the library knows one error of opening only
            said = ("FileNotFoundError", f"No such file or directory: {path}")
        return Problem("hub-permission", "cannot be opened: permission denied for this user", name, loader_error=said)
    return Problem("file-unreadable", f"cannot be opened: {error.strerror or error}", name)
