"""The parent's side of the worker and of a load attempt: asyncio, no Textual."""

from __future__ import annotations
