"""Scripts that build the files the tests read."""
