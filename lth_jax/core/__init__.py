"""The pure core: masks, pruning, tickets, training. No I/O."""
