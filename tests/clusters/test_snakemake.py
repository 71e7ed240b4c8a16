"""What workflow/rules/cluster.smk changes inside Snakemake is still there, and is still what it was changed for.

If one of these fails, Snakemake has changed: the change of that name in cluster.smk may do nothing, or is not needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("snakemake.api")  # before its parts, which import each other

from snakemake.dag import DAG
from snakemake.jobs import GroupJob, Job
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import GroupSettings
from snakemake.spawn_jobs import SpawnedJobArgsFactory
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a function, each with its default."""
    return {name: each.default for name, each in inspect.signature(function).parameters.items()}


def test_a_failure_is_printed_and_then_told_to_the_scheduler() -> None:
    given = inspect.signature(RemoteExecutor.report_job_error)
    assert list(given.parameters) == ["self", "job_info", "msg", "kwargs"]
    assert given.parameters["msg"].default is None
    assert given.parameters["kwargs"].kind is inspect.Parameter.VAR_KEYWORD
    source = inspect.getsource(RemoteExecutor.report_job_error)
    printed, told = "self.print_job_error(job_info, msg, **kwargs)", "scheduler.error_callback(job_info.job)"
    assert -1 < source.find(printed) < source.find(told)
    assert list(parameters(JobScheduler.error_callback)) == ["self", "job"]


def test_all_failures_have_one_number_of_retries() -> None:
    for kind, said in ((Job, "self.rule.restart_times"), (GroupJob, "max(job.restart_times for job in self.jobs)")):
        number = inspect.getattr_static(kind, "restart_times")
        assert isinstance(number, property)
        assert number.fget is not None
        assert number.fset is None
        assert f"return {said}\n" in inspect.getsource(number.fget)
    assert "if job.restart_times > job.attempt - 1:" in inspect.getsource(JobScheduler._handle_error)


def test_the_snakemake_of_a_job_is_not_told_to_keep_going_or_to_use_threads() -> None:
    factory = SpawnedJobArgsFactory
    assert list(parameters(factory.general_args)) == ["self", "executor_common_settings"]
    source = inspect.getsource(factory.general_args)
    assert "keep_going" not in source
    assert "keep-going" not in source
    assert "force-use-threads" not in source
    assert "use_threads" not in source


def test_the_seconds_between_two_looks_at_jobs_are_a_property_that_executors_set() -> None:
    looks = inspect.getattr_static(RemoteExecutor, "next_seconds_between_status_checks")
    assert isinstance(looks, property)
    executor = SimpleNamespace()
    assert looks.fget is not None
    assert looks.fset is not None
    looks.fset(executor, 180)
    assert looks.fget(executor) == 180  # without a limit


def test_how_many_jobs_a_group_has_is_read_when_all_jobs_are_known() -> None:
    assert dict(GroupSettings().group_components) == {}
    assert "self.workflow.group_settings.group_components.get(" in inspect.getsource(DAG._update_group_components)
