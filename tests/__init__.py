"""The tests of ckptriage."""
