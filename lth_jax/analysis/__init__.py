"""Analysis: pure functions from records, masks and weights to findings."""
