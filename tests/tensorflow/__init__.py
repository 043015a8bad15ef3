"""Tests: TensorFlow's and Keras's files, held against the real libraries."""

from __future__ import annotations
