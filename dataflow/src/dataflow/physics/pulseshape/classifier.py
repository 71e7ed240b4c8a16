"""A pulse-shape classifier of a detector: whether there is one, and what the parameter file says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dataflow.jobs.bydetector import Made
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.figures.page import text_page
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel


@dataclass(frozen=True)
class OfSet:
    """What one set of settings gives.

    Attributes
    ----------
    operations
        The expressions that hit evaluates, in order.
    report
        The results.
    warnings
        What a user of it must know.
    """

    operations: Mapping[str, Any]
    report: Mapping[str, Any]
    warnings: list[str]


@dataclass(frozen=True)
class Classifier:
    """A quantity that tells events by the form of their pulses.

    Attributes
    ----------
    key
        Its name in the parameter file, and in the entry ``run_…``.
    words
        Its name in sentences.
    status
        Its name in the pulse-shape status of a detector.
    """

    key: str
    words: str
    status: str

    def calibrated(
        self, channel: Channel, energies: Mapping[str, Any] | None, make: Callable[[], Made], *, run: bool
    ) -> Made:
        """What a detector gets: the calibration, or why it has none, which is no failure of the detector.

        Parameters
        ----------
        channel
            The detector.
        energies
            What ``par_hit_ecal`` found.
        make
            Calibrates.
        run
            Whether the settings want it.

        Raises
        ------
        WorkFailed
            If the detector has no energies at all.
        """
        if not run:
            return Made({"results": {self.key: {}}}, self._page(channel, f"run_{self.key} is false"))
        if channel.lacks(self.status):
            reason = f"its status says psd.status.{self.status}: missing"
            return Made(self.left_out(reason), self._page(channel, reason))
        if why := failure_of(energies):
            raise WorkFailed(f"{channel.name} has no calibrated energy: {why}")
        try:
            return make()
        except WorkFailed as error:
            # what else was found for the detector stays, and hit is whole but for the classifier
            return Made(self.failed(error.message), self._page(channel, error.message))

    def _page(self, channel: Channel, reason: str) -> Callable[[], Any]:
        return lambda: text_page(f"{channel.name}: no {self.words}", f"{channel.name} has no {self.words}: {reason}")

    def entry(self, sets: Mapping[str, OfSet]) -> dict[str, Any]:
        """What the parameter file says of a detector; the only set has the label ``""``."""
        operations = {name: operation for one in sets.values() for name, operation in one.operations.items()}
        reports = {label: one.report for label, one in sets.items()}
        warnings = [f"{label}: {text}" if label else text for label, one in sets.items() for text in one.warnings]
        content = {"pars": {"operations": operations}, "results": {self.key: reports.get("", reports)}}
        return content | ({"warnings": warnings} if warnings else {})

    def failed(self, reason: str) -> dict[str, Any]:
        """What the parameter file says of a detector with energies for which it cannot be calibrated."""
        warnings = [f"{self.words} is not calibrated: {reason}"]
        return {"results": {self.key: {}, f"{self.key}_failed": reason}, "warnings": warnings}

    def left_out(self, reason: str) -> dict[str, Any]:
        """What the parameter file says of a detector that shall have none: nothing is wrong with it."""
        return {"results": {self.key: {}, f"{self.key}_left_out": reason}}
