"""Accidents: what Conveyor and its peers do when something goes wrong, side by side.

``python -m benchmarks.accidents`` lets each contestant meet each accident in a process of its own.
"""
