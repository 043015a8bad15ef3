"""The explorer: the only place that imports Textual."""

from __future__ import annotations
