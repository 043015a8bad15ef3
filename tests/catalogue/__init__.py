"""Cases on which the rules stand: for each one a checkpoint that has the failure, one that only looks so, and the words
of the real loader."""
