"""ckptriage: will this checkpoint load, and if not, why, and what mends it."""

from __future__ import annotations

__version__ = "0.1.0"
