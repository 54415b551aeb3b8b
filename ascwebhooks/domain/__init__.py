"""Decisions: pure functions and values.

Clock, chance and network come in as arguments.
"""
