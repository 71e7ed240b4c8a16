"""What may be wrong with an environment or a cycle, and the command that fixes it."""
