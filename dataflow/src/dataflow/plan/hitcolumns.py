"""Columns of hit, looked at while planning: whether dsp or an operation makes what outputs, operations, bits and the
calibrations name.

A name that nobody makes would fail in the job, for each detector and file. What calibrations lay over ``hit_config`` is
known when they have run; here a name is taken for theirs if their settings, or an override, have it or what it begins
with (``cuspEmax`` for ``cuspEmax_ctc_cal``), and if it is not almost one that is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

from dataflow.base.messages import nearest
from dataflow.keys.channel import Channel
from dataflow.metadata.expressions import parsed
from dataflow.metadata.layers import Layers, Location
from dataflow.metadata.stepconfig import StepConfig

if TYPE_CHECKING:
    from .cycle import Cycle
    from .job import Job

HIT, CHAIN, IF_CALIBRATED = "hit_config", "processing_chain", "outputs_if_calibrated"
DSP = "dsp"
CUTS = ("cal_fields", "fft_fields")
"""Parts of quality cuts."""
CALIBRATIONS = frozenset({"ecal_config", "aoecal_config", "lqcal_config", "qc_config"})
"""Settings of calibrations that name columns."""
CALIBRATED = ("AoE_", "LQ_")
"""What names begin with that calibrations of pulse shapes make."""
CLOSE = 0.85
"""How near a misspelt name is to the right one, as :mod:`difflib` counts."""
_SUFFIX = re.compile(r"(?:_ctc)?(?:_cal)?(?:_classifier)?")


class HitColumns:
    """The columns of hit that a cycle's configuration asks for; each set of files is looked at once.

    Parameters
    ----------
    cycle
        The cycle.
    """

    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self._done: dict[tuple[object, ...], tuple[object, ...]] = {}
        self._sound: dict[tuple[object, ...], tuple[object, ...]] = {}

    def check(self, job: Job) -> None:
        """Look at the columns of a job's channels.

        Raises
        ------
        UserError
            If dsp does not have one and no operation makes it; with file and line.
        """
        step = self._cycle.step(job.step)
        dsp = self._dsp(job) if {HIT, *CALIBRATIONS} & set(step.configs) else None
        if dsp is None:
            return
        place = job.step, id(job.config), id(job.channels), id(dsp), *job.overrides_of.values()
        if place in self._done:
            return
        self._done[place] = job.config, job.channels, dsp  # kept: their ids must not come to mean others
        of_hit = self._cycle.config(self._cycle.step(f"tier_{step.tier}"), job.unit.key)
        for channel in job.channels:
            hit, chain = of_hit.layers(HIT, channel), dsp.layers(CHAIN, channel)
            own = {name: job.config.layers(name, channel) for name in CALIBRATIONS & set(step.configs)}
            held = hit, chain, *own.values()
            same = job.step, *map(id, held)
            if same in self._sound:
                continue
            words = _Words(partial(self._words, job, channel))
            columns = set(map(str, chain.data.get("outputs") or ()))
            if columns and HIT in step.configs and (hit.own or chain.own):
                self._check(hit, chain, words)
            known = columns | set(hit.data.get("operations") or {})
            for name, layers in own.items() if columns else ():
                _check_calibration(name, layers, known, words)
            if not words.were_asked:  # else it depends on the detector, and on what calibrations are told
                self._sound[same] = held

    def _dsp(self, job: Job) -> StepConfig | None:
        """The configuration that makes the dsp file of a job, None if it is not made here."""
        step = self._cycle.step(job.step)
        origin = next((each.source for each in self._cycle.inputs(step) if each.name == DSP), "")
        if not origin or not self._cycle.is_made(origin, job.unit):
            return None
        return self._cycle.config(self._cycle.step(origin), job.unit.key)

    def _check(self, hit: Layers, chain: Layers, words: Callable[[], set[str]]) -> None:
        operations = hit.data.get("operations") or {}
        known = set(map(str, chain.data["outputs"])) | set(operations) | set(hit.data.get("aggregations") or {})
        known |= {str(name) for text in hit.shipped for name in text.mapping().get(IF_CALIBRATED) or ()}
        for place, name in _named(hit.data):
            if name in known:
                continue
            close = get_close_matches(name, sorted(known), n=1, cutoff=CLOSE)
            if not close and (place[0] == IF_CALIBRATED or name.startswith(CALIBRATED)):
                continue
            if _is_of(name, words()) or (place[0] == "operations" and _is_of(str(place[1]), words())):
                continue
            message = f"{HIT} names {name!r}, which no operation makes and dsp does not have"
            origin = hit.origin(*place)
            if origin is not None and origin.text in hit.shipped and chain.own:
                raise chain.error(
                    message, "outputs", hint=f"add it to the outputs, or leave it out in {HIT} of tier_hit"
                )
            raise hit.error(message, *place, hint=_hint(name, close, known))

    def _words(self, job: Job, channel: Channel) -> set[str]:
        """All words in the settings of what calibrates the tier, and in the overrides of a detector."""
        cycle, key = self._cycle, job.unit.key
        tier = cycle.step(job.step).tier
        found: set[str] = set()
        for step in cycle.registry.steps:
            if step.part_of == tier and step.rule:
                config = cycle.config(step, key)
                for name in config.inputs:
                    found.update(_texts(config.shared(name, channel)))
        if tier in cycle.registry.calibrated_tiers():
            found.update(_texts(cycle.metadata.override_content(tier, key).get(channel.name)))
        return found


class _Words:
    """The words of calibrations, and whether anybody asked for them."""

    def __init__(self, look: Callable[[], set[str]]) -> None:
        self._look = look
        self.were_asked = False

    def __call__(self) -> set[str]:
        self.were_asked = True
        return self._look()


def _check_calibration(config: str, layers: Layers, known: set[str], words: Callable[[], set[str]]) -> None:
    """Refuse columns that a calibration takes and nobody makes; of several energies, those that are almost one."""
    for place, name, is_one_of_several in _taken(layers.data, ()) if layers.own else ():
        close = get_close_matches(name, sorted(known), n=1, cutoff=CLOSE)
        if (
            name not in known
            and (close or not is_one_of_several)
            and not (name.endswith("_cal") and _made(name, words))
        ):
            message = f"{config} names {name!r}, which no operation of {HIT} makes and dsp does not have"
            raise layers.error(message, *place, hint=nearest(name, known))


def _taken(node: Mapping[str, Any], place: Location) -> Iterator[tuple[Location, str, bool]]:
    """The columns that the settings of a calibration name, with their places, and whether there are several."""
    for name, value in node.items():
        here = (*place, name)
        if name == "params" and isinstance(value, Mapping):
            for label, part in value.items():
                yield from _taken(part, (*here, label)) if isinstance(part, Mapping) else ()
        elif name == "energy_params" and isinstance(value, (list, tuple)):
            yield from (((*here, number), str(each), True) for number, each in enumerate(value))
        elif name.endswith("_param") and isinstance(value, str):
            yield here, value, False
        elif name in CUTS and isinstance(value, Mapping):
            yield from _in_cuts(value, here)


def _in_cuts(cuts: Mapping[str, Any], place: Location) -> Iterator[tuple[Location, str, bool]]:
    """The columns in quality cuts, which may be expressions of columns and of other cuts."""
    found = cuts.get("cut_parameters")
    parts: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    for cut, entry in parts.items():
        for word in ("cut_parameter", "expression"):
            text = entry.get(word) if isinstance(entry, Mapping) else None
            if isinstance(text, str):
                names = parsed(text).names - {*parts, *(entry.get("parameters") or ())}
                yield from (((*place, "cut_parameters", cut, word), name, True) for name in sorted(names))


def _hint(name: str, close: list[str], known: set[str]) -> str:
    if close:
        return f"did you mean {close[0]!r}?"
    return f"what a calibration makes belongs to {IF_CALIBRATED}; {nearest(name, known)}"


def _named(config: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """The columns that a configuration names, each with its place."""
    for section in ("outputs", IF_CALIBRATED):
        for number, name in enumerate(config.get(section) or ()):
            yield (section, number), str(name)
    for column, operation in (config.get("operations") or {}).items():
        own = set(operation.get("parameters") or {})
        for name in sorted(parsed(operation["expression"]).names - own - {column}):
            yield ("operations", column, "expression"), name
    for column, bits in (config.get("aggregations") or {}).items():
        for bit, name in bits.items():
            yield ("aggregations", column, bit), str(name)


def _is_of(name: str, words: set[str]) -> bool:
    """Whether a name is one of the words, or one of them with the endings that calibrations give."""
    return name in words or any(name.startswith(word) and _SUFFIX.fullmatch(name, len(word)) for word in words)


def _made(name: str, words: Callable[[], set[str]]) -> bool:
    """Whether a calibration makes a calibrated energy: of an energy that it is told to calibrate."""
    energy = name.removesuffix("_cal").removesuffix("_ctc")
    return energy in words()


def _texts(node: object) -> Iterator[str]:
    """All names and words of a configuration."""
    if isinstance(node, Mapping):
        for name, item in node.items():
            yield str(name)
            yield from _texts(item)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _texts(item)
    elif isinstance(node, str):
        yield node
