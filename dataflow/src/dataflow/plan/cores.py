"""How many threads the jobs of a step get: one each while there are enough of them for all cores.

Between two jobs, and while workers of a job wait for the last of them, cores have nothing to do; with several jobs at a
time, another one goes on.
"""

from __future__ import annotations


def share_out(jobs: int, cores: int, most: int) -> list[int]:
    """Threads of the jobs of a step that can run beside one another.

    Parameters
    ----------
    jobs
        How many there are.
    cores
        How many threads run at a time.
    most
        Threads that help one job.

    Returns
    -------
    list of int
        Of each job: one as long as that leaves no core without a job; the last ones, which would, share all cores.
    """
    last = jobs % cores
    return [1] * (jobs - last) + [min(max(cores // last, 1), most)] * last if last else [1] * jobs
