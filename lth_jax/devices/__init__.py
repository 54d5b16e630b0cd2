"""Devices: where members train."""
