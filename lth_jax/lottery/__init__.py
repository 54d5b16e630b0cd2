"""The lottery: `loop` draws tickets, `arms` start levels, `executor` trains jobs."""
