"""Two cycles side by side: what differs in their making, in their parameters and in their rates."""
