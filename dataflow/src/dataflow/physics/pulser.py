"""Which rows of a detector no calibration may use: pulser events, forced triggers, and what follows a discharge.

``par_tcm_pulser`` marks them once for all steps of a calibration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import open_input
from dataflow.plan.job import Job

Mask = NDArray[np.bool_]

MASKS = "masks"
"""What steps call the input, and the name of the struct in the file."""
FILES, FILE = "files", "file"
"""The keys of the files, and the column with the number of that of a row."""
FLAGS = ("is_pulser", "is_forced", "is_recovering")


@dataclass(frozen=True)
class EventMasks:
    """The marked rows of a detector, shape (rows of all files,) each.

    Attributes
    ----------
    pulser
        In an event with the pulser.
    forced
        In an event that was triggered without a pulse.
    recovering
        Shortly after a discharge of the same detector.
    """

    pulser: Mask
    forced: Mask
    recovering: Mask

    @property
    def usable(self) -> Mask:
        """None of these."""
        return ~(self.pulser | self.forced | self.recovering)


def file_name(path: Path) -> str:
    """The key of a file of a tier."""
    return path.name.partition("-tier_")[0]


def event_masks(
    job: Job, counts: Mapping[str, Sequence[int]], paths: Sequence[Path] | None = None
) -> dict[str, EventMasks]:
    """The masks of some detectors in some files.

    Parameters
    ----------
    job
        Its input ``masks`` is what ``par_tcm_pulser`` made; without it, nothing is marked.
    counts
        Number of rows of each detector in each file. A detector that a file's data do not have, because an earlier step
        could not do it there, has none, whatever the coincidence map says.
    paths
        The files, of any tier; by default those of the inputs ``raw`` or ``dsp``.

    Returns
    -------
    dict
        By detector.

    Raises
    ------
    BadInput
        If masks and data have different numbers of rows.
    """
    files = paths if paths is not None else job.inputs.get("raw") or job.inputs.get("dsp") or ()
    found = _read(job.inputs.get(MASKS, ()), counts)
    return {
        name: EventMasks(*_joined(job, name, found.get(name, {}), [file_name(path) for path in files], rows))
        for name, rows in counts.items()
    }


def _read(paths: Iterable[Path], names: Iterable[str]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """By detector and key of the file, the three masks, shape (3, rows)."""
    found: dict[str, dict[str, Mask]] = {}
    for path in paths:
        with open_input(path) as file:
            keys = [key.decode() for key in file[f"{MASKS}/{FILES}"][:]]
            for name in names:
                group = file.get(f"{MASKS}/{name}")
                if isinstance(group, h5py.Group):
                    flags, of_file = np.stack([group[flag][:].astype(bool) for flag in FLAGS]), group[FILE][:]
                    by_key = {key: flags[:, of_file == number] for number, key in enumerate(keys)}
                    found.setdefault(name, {}).update(by_key)  # a partition has the masks of several runs
    return found


def _joined(job: Job, name: str, masks: Mapping[str, Mask], keys: Sequence[str], rows: Sequence[int]) -> Mask:
    parts = [_checked(job, name, masks.get(key), count) for key, count in zip(keys, rows, strict=True)]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(FLAGS), 0), dtype=bool)


def _checked(job: Job, name: str, mask: Mask | None, rows: int) -> Mask:
    """The masks of a detector's rows in one file; none are marked where nothing is known."""
    if mask is None or rows == 0:
        return np.zeros((len(FLAGS), rows), dtype=bool)
    if mask.shape[1] != rows:
        raise BadInput(
            f"{name} has {rows} rows in the data and {mask.shape[1]} in the coincidence maps of {job.unit}",
            hint="the tiers of this run do not belong together: remove the tcm files, they are made again",
        )
    return mask
