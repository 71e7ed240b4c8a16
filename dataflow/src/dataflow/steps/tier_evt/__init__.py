"""Events: what the channels of a coincidence saw, one row an event."""
