"""The ways to run a pipeline that one contract holds for."""

ENGINES = {
    "inline": {"engine": "inline"},
    "processes": {"engine": "processes"},
    "one process": {"engine": "processes", "processes": 1},
}
