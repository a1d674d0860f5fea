"""What happens to batches, as pure state machines: no clock, pipe, process or thread."""
