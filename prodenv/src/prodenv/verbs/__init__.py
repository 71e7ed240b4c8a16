"""The verbs of ``dataprod``: one module each, with ``run(options)`` that returns the exit code."""
