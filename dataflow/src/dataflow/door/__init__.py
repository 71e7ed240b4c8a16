"""The door of the flow: one small program through which everybody else asks what the flow says of a cycle.

``python -m dataflow.plan VERB --config FILE [--setup NAME] [--with JSON] --json`` is run with the sources of the
cycle's own ``dataflow/src`` first on the path, so that what answers for a cycle is always the code of its jobs.
``--with`` gives further values of the question as a JSON mapping, ``--with -`` takes them from the standard input.
``--several`` takes several questions from there, see :mod:`dataflow.door.several`.

The answer is one JSON document on the standard output: ``{"form": 1, "answer": …}``, or ``{"form": 1, "error":
{"message": …, "hint": …, "code": …}}`` with that exit code. What a person may watch goes to the standard error.

Each verb is one function here, listed in :data:`dataflow.door.main.VERBS`. Nothing here imports numpy, and nothing
writes.
"""
