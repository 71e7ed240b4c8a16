"""The time of each filter at which the noise of traces without pulses is least."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.filters import kernel_of, minimum
from dataflow.physics.noisetraces import US, Floats, quiet_traces, spectrum

from .result import Result, Scan
from .settings import Filter, NoptSettings

Traces = NDArray[np.floating]

PLACES = np.linspace(0.36, 0.60, 9)
"""Where pulses could begin, as parts of the trace: behind the baseline (0.34), and with room for the filters."""
PICKOFF = 0.8
"""Where in the flat top the chain takes the energy."""
SEED = 20230312


def calibrate(traces: Mapping[str, Traces], period: float, tau: float, settings: NoptSettings) -> Result:
    """Scan the times of the filters.

    The equivalent noise is the standard deviation of the filter's output over traces, at the places where the energy
    of a pulse would be taken, divided by its output for a pulse of height 1 (V. Radeka, Annu. Rev. Nucl. Part. Sci. 38
    (1988) 217). All filters see the same traces, so that the scan is smooth although each of its points has an error.

    Parameters
    ----------
    traces
        ``wf_blsub``, without baseline, and ``wf_pz``, also without decay: in ADC counts, shape (traces, samples).
    period
        Sampling period of these in ns.
    tau
        Decay constant of the preamplifier in ns.
    settings
        How.

    Raises
    ------
    WorkFailed
        If there are too few quiet traces, or none of the times fits into the trace.
    """
    raw = np.asarray(traces["wf_blsub"], dtype=np.float64)
    quiet = quiet_traces(raw, period)
    if quiet.sum() < settings.least:
        raise WorkFailed(
            f"{int(quiet.sum())} traces without a pulse are too few for the noise, {settings.least} are needed"
        )
    used = {"sigma": raw[quiet], "rise": np.asarray(traces["wf_pz"], dtype=np.float64)[quiet]}
    scans = tuple(scan(used[each.filter_par], each, period, tau, settings) for each in settings.optimization.values())
    frequency, density = spectrum(used["sigma"], period)
    return Result(scans, settings.flat, int(quiet.sum()), int((~quiet).sum()), frequency, density)


def scan(traces: Floats, each: Filter, period: float, tau: float, settings: NoptSettings) -> Scan:
    """The noise of one filter at all its times.

    Parameters
    ----------
    traces
        Quiet traces, shape (traces, samples).
    each
        The filter.
    period, tau
        In ns.
    settings
        The scan.

    Raises
    ------
    WorkFailed
        If none of the times fits into the trace.
    """
    known = list(_weights(traces.shape[1], each, period, tau, settings))
    if len(known) < 3:
        raise WorkFailed(
            f"{len(known)} times of {each.dict_str} fit into traces of {traces.shape[1] * period / US:g} us"
        )
    times = np.array([time for time, _ in known])
    squares = _squares(traces, [weights for _, weights in known])
    variances = squares.mean(axis=0)
    draws = np.random.default_rng(SEED).multinomial(
        len(traces), np.full(len(traces), 1 / len(traces)), settings.n_bootstrap_samples
    )
    resampled = draws @ squares / len(traces)
    error = float(np.std([minimum(times, values) for values in resampled]))
    errors = np.std(np.sqrt(resampled), axis=0)
    lowest = int(np.argmin(variances))
    best = minimum(times, variances)
    if each.filter_par == "rise":
        best = round(best * US / period) * period / US
    edge = {0: "beginning", len(times) - 1: "end"}.get(lowest, "")
    noises = np.sqrt(variances)
    return Scan(
        each.dict_str, each.filter_par, best, error, float(noises[lowest]), float(errors[lowest]),
        times, noises, errors, edge,
    )  # fmt: skip


def _squares(traces: Floats, weights: Sequence[Floats]) -> Floats:
    """Squared deviations of the energies at each time, averaged over the places, shape (traces, times)."""
    energies = traces @ np.concatenate(weights, axis=1)  # in one product: many narrow ones take ten times as long
    deviations = (energies - energies.mean(axis=0)).reshape(len(traces), len(weights), -1)
    return np.asarray(np.mean(deviations**2, axis=2))


def _weights(
    samples: int, each: Filter, period: float, tau: float, settings: NoptSettings
) -> Iterator[tuple[float, Floats]]:
    """Each time in microseconds, with what its energies weight the samples by, shape (samples, places)."""
    flat = round(settings.flat * US / period)
    seen = set[float]()
    for number in range(int((settings.stop - settings.start) / settings.step + 1e-6) + 1):
        time = settings.start + number * settings.step
        if each.filter_par == "rise":
            time = max(round(time * US / period), 1) * period / US
        response = impulse_response(each.dict_str, time * US / period, flat, samples, tau / period, settings)
        found = placed(samples, response) if response else None
        if time not in seen and found is not None:
            seen.add(time)
            yield time, found / _gain(found, tau / period if each.filter_par == "sigma" else np.inf)


def impulse_response(
    name: str, time: float, flat: int, samples: int, tau: float, settings: NoptSettings
) -> tuple[Floats, int] | None:
    """What dspeed's filter makes of one sample of height 1, and how long after a pulse's begin the energy is taken.

    Parameters
    ----------
    name
        ``cusp``, ``zac`` or ``etrap``.
    time, flat, tau
        In samples.
    samples
        Length of the trace.
    settings
        Length of the kernels.

    Returns
    -------
    tuple or None
        Shape (length of the filter,), and a number of samples; None if there is no such filter.
    """
    from dspeed.processors import trap_norm

    if name == "etrap":
        rise = round(time)
        impulse, response = np.zeros(2 * rise + flat), np.zeros(2 * rise + flat)
        impulse[0] = 1.0
        trap_norm(impulse, rise, flat, response)
        return response, round(rise + PICKOFF * flat)
    kernel = kernel_of(name, time, flat, tau, round(settings.kernel * samples))
    return None if kernel is None else (kernel, round(len(kernel) / 2 + (PICKOFF - 0.5) * flat) - 1)


def placed(samples: int, filtering: tuple[Floats, int]) -> Floats | None:
    """The weights of a filter at all places, shape (samples, places); None if it does not fit into the trace."""
    response, delay = filtering
    backward = response[::-1]
    weights = np.zeros((samples, len(PLACES)))
    for number, place in enumerate(PLACES):
        end = round(place * samples) + delay + 1
        if end > samples or end < len(backward):
            return None
        weights[end - len(backward) : end, number] = backward
    return weights


def _gain(weights: Floats, tau: float) -> Floats:
    """The energies that a pulse of height 1 at each place is given, shape (places,)."""
    samples = len(weights)
    after = np.arange(samples)[:, None] - np.round(PLACES * samples)[None]
    pulses = np.where(after >= 0, np.exp(-np.maximum(after, 0) / tau), 0.0)
    return np.asarray((pulses * weights).sum(axis=0))
