"""The child process: the only code that imports torch or transformers. Started by path, knows nothing of the app."""

from __future__ import annotations
