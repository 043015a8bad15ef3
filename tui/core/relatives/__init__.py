"""The same model in two formats: names of one in the words of the other, order of elements, values."""

from __future__ import annotations
