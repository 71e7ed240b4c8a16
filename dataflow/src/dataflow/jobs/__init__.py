"""How a step runs: workers, reading once, outputs that appear whole, logs, what happens to failing channels."""
