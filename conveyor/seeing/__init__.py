"""Seeing a run: its progress while it is under way, and what was slow in it."""
