"""Errors that reach a user, each with a title and what to do next.

CkptriageError
├── UsageError         exit 2: the command line asks for something that is not there
├── UnreadableError    exit 1: a file could not be read as what it was asked for
└── WorkerError        exit 1: the child process that holds the libraries failed
"""

from __future__ import annotations


class CkptriageError(Exception):
    """Anything the program can explain itself."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        """What the user can do about it; empty when the message says it all."""


class UsageError(CkptriageError):
    """The command line names something that does not exist or cannot be meant."""

    exit_code = 2


class UnreadableError(CkptriageError):
    """A file is not what the command needs it to be."""


class WorkerError(CkptriageError):
    """The child process died, hung, or answered nonsense."""
