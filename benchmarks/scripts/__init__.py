"""The scripts that the startup workload starts: each prints its result and the time."""
