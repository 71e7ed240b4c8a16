"""The recipe of an output as one hash: the resolved configuration of exactly the channels concerned.

Snakemake gets it as a rule parameter and re-makes an output whose recipe has changed. It holds contents only, no paths
of the cycle, so that a cycle that was moved is still up to date.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .model import Channel, Job
from .stepconfig import NESTED
from .steps import BY_NAME, Step

UNIMPORTANT = frozenset({"logging"})
"""Options that change nothing about the result."""


def digest(value: object, cycle: str = "") -> str:
    """A hash of a nested value; the order of mappings and the cycle's folder in texts do not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    if cycle:
        text = text.replace(json.dumps(cycle, ensure_ascii=False)[1:-1], "$CYCLE")
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


class Recipes:
    """Computes recipes; what many jobs share is hashed once."""

    def __init__(self, cycle: str) -> None:
        self._cycle = cycle
        self._shared: dict[tuple[str, int, int], tuple[str, object]] = {}
        self._pars: dict[int, tuple[str, object]] = {}

    def of(self, job: Job, overrides: Mapping[str, Mapping[str, Any]]) -> str:
        """The recipe of a job.

        Parameters
        ----------
        job
            The job.
        overrides
            The merged content of its hand-made parameters by input role.
        """
        step = BY_NAME[job.step]
        parts = {
            "step": job.step,
            "shared": self._shared_part(step, job),
            "overrides": {role: self._override_part(content) for role, content in overrides.items() if content},
        }
        return digest(parts)

    def _shared_part(self, step: Step, job: Job) -> str:
        place = (step.name, id(job.config), id(job.channels))
        if place not in self._shared:
            content = {
                "config": _configured(step, job),
                "channels": [_channel(step, job, channel) for channel in job.channels],
                "pulsers": [channel.rawid for channel in job.pulsers] if step.per_run else [],
                "tables": dict(job.setup.table_format),
                "settings": job.setup.settings.get(step.name),
            }
            # the objects are kept with the hash, or their ids could come to mean others
            self._shared[place] = digest(content, self._cycle), (job.config, job.channels)
        return self._shared[place][0]

    def _override_part(self, content: Mapping[str, Any]) -> str:
        if id(content) not in self._pars:
            self._pars[id(content)] = digest(content, self._cycle), content
        return self._pars[id(content)][0]


def _configured(step: Step, job: Job) -> dict[str, Any]:
    options = {name: value for name, value in job.config.options.items() if name not in UNIMPORTANT}
    common = {name: job.config.everything(name) for name in step.configs if name in NESTED or not step.systems}
    return {"rule": job.config.rule, "options": options, "inputs": common}


def _channel(step: Step, job: Job, channel: Channel) -> dict[str, Any]:
    own = (
        {name: job.config.shared(name, channel) for name in step.configs if name not in NESTED} if step.systems else {}
    )
    status = [channel.processable, channel.usability, channel.psd] if step.systems else []
    return {
        "name": channel.name,
        "system": channel.system,
        "numbers": [channel.rawid, channel.fcid],
        "status": status,
        "config": own,
    }
