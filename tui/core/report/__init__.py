"""One `Report`, rendered as text, JSON, Markdown, HTML and SARIF."""

from __future__ import annotations
