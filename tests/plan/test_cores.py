"""Threads of jobs: one each while there are enough jobs for all cores, more for those that are left."""

from __future__ import annotations

import pytest

from dataflow.plan.cores import share_out


@pytest.mark.parametrize(
    ("jobs", "cores", "most", "threads"),
    [
        (0, 2, 4, []),
        (1, 2, 4, [2]),
        (2, 2, 4, [1, 1]),
        (5, 2, 4, [1, 1, 1, 1, 2]),
        (1, 16, 4, [4]),
        (3, 16, 8, [5, 5, 5]),
        (9, 8, 4, [1] * 8 + [4]),
        (12, 8, 4, [1] * 8 + [2] * 4),
        (3, 1, 4, [1, 1, 1]),
    ],
)
def test_threads_of_the_jobs_of_a_step(jobs: int, cores: int, most: int, threads: list[int]) -> None:
    assert share_out(jobs, cores, most) == threads


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
@pytest.mark.parametrize("jobs", range(30))
def test_no_core_is_without_work_as_long_as_jobs_can_use_it(jobs: int, cores: int) -> None:
    threads = share_out(jobs, cores, cores)
    assert len(threads) == jobs
    whole, last = divmod(jobs, cores)
    assert sum(threads[: whole * cores]) == whole * cores
    assert sum(threads[whole * cores :]) <= cores
    assert not last or sum(threads[whole * cores :]) > cores - last
