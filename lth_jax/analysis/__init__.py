"""Analysis: pure functions that turn records, masks and weights into findings."""
