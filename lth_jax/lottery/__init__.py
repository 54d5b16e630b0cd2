"""Lottery: how tickets are drawn."""
