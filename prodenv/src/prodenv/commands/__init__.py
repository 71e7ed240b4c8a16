"""One module a command: reads its options, does it, prints what came of it."""
