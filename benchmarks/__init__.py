"""Benchmarks: Conveyor, hand-written limits, serial Python and peers, in one interleaved run."""
