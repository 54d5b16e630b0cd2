"""Analysis: reads records, says what they mean."""
