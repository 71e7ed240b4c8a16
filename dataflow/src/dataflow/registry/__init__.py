"""What a step is, and which steps there are."""
