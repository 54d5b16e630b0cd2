"""Configs: one study a file."""
