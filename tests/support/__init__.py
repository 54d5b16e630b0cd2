"""What tests share: nets, studies, oracles, a browser."""
