"""Jobs that are forked from one process in which everything is loaded, instead of started anew each.

Importing what a job needs and loading its compiled code takes longer than the work on a small file. So when it is
known what is to be made on this machine, one process is started (:mod:`.begin`) that loads what the planned steps
need (:mod:`.server`). The command of a job begins with a small program (:mod:`.ask`) that asks for a fork, hands it
its standard input and outputs, waits for it and ends as it ended: with its exit code, or by its signal. A job is a
process of its own as before: what it allocates is given back, and a crash hurts nobody else. It ends when the program
that asked for it ends, and when the process from which it was forked ends.

Wherever the process is not to be had (on a cluster, in a container, with ``forked_jobs: false``, when it was killed, or
when a file that it has loaded was changed since), the program becomes the ordinary command.
"""
