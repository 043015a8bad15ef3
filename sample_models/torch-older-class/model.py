"""A small tagger, as its author has it today."""

import torch
from torch import nn


class Tagger(nn.Module):
    """Words in, one label for each word out."""

    def __init__(self, words: int = 48, width: int = 16, labels: int = 5) -> None:
        """Build the three layers."""
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.encoder = nn.Linear(width, width)
        self.classifier = nn.Linear(width, labels)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Score every label for every word."""
        return self.classifier(torch.relu(self.encoder(self.embedding(ids))))
