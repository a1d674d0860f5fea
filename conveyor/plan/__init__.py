"""From the graph to what physically runs: workers, channels, and each worker's way out."""

from conveyor.plan.model import Channel, Fan, Plan, PlannedWorker, WayIn, WayOut

__all__ = ["Channel", "Fan", "Plan", "PlannedWorker", "WayIn", "WayOut"]
