"""Decisions: pure functions and values; clock, chance and network come in as arguments."""
