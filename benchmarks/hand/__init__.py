"""What one writes by hand when one needs it fast: the limits that Conveyor is measured against.

None of it handles errors, deaths, bounded memory in general, or more than its one workload.
"""
