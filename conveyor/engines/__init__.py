"""What runs a graph: in the calling process, or on worker processes."""
