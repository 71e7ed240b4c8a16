"""Pictures of the simulated experiment: traces of every class, spectra, A/E."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gebox import shape
from gebox.check import Residual
from gebox.experiment import Experiment
from gebox.experiment.layouts import SAMPLING_NS
from gebox.files import fcio
from gebox.readout import Triggered, events
from gebox.truth import Kind
from gebox.writing import appearing

Trace = NDArray[np.uint16]


@dataclass
class Sample:
    """Examples and quantities of some events."""

    traces: dict[str, list[Trace]] = field(default_factory=dict)
    edges: dict[str, list[Trace]] = field(default_factory=dict)
    hits: list[tuple[str, int, float, float]] = field(default_factory=list)
    """Detector type, class, energy by our own trapezoid in keV, A/E in 1/sample."""

    def keep(self, store: dict[str, list[Trace]], name: str, trace: Trace, most: int) -> None:
        """Remember up to `most` traces under a name."""
        if len(store.setdefault(name, [])) < most:
            store[name].append(trace.copy())


def draw(experiment: Experiment, out: Path, *, events: int = 4000, real: Path | None = None) -> list[Path]:
    """Draw everything; returns the pictures.

    Parameters
    ----------
    events
        How many calibration events to draw from.
    real
        Folder with the FlashCam files of legend-testdata; they are drawn beside the simulation.
    """
    cal, phy = sampled(experiment, "cal", events), sampled(experiment, "phy", max(events // 4, 100))
    pictures = {
        "waveforms.png": waveforms({**phy.traces, **cal.traces}),
        "edges.png": edges(cal.edges),
        "spectra.png": spectra(cal, phy),
        "aoe.png": aoe(cal),
    }
    if real is not None:
        pictures["beside.png"] = beside(cal, phy, real)
    return [_save(figure, out / name) for name, figure in pictures.items()]


def draw_pulls(residuals: list[Residual], path: Path) -> Path:
    """Draw every pull by quantity, one symbol a run."""
    quantities = list(dict.fromkeys(residual.quantity for residual in residuals))
    runs = list(dict.fromkeys((residual.period, residual.run) for residual in residuals))
    figure, axes = _figure(1, 1, (10, 5))
    axis = axes[0, 0]
    for number, run in enumerate(runs):
        mine = [r for r in residuals if (r.period, r.run) == run]
        places = [quantities.index(r.quantity) + 0.6 * number / len(runs) - 0.3 for r in mine]
        axis.plot(places, [r.pull for r in mine], "o", ms=4, label=" ".join(run))
    axis.set_xticks(range(len(quantities)), quantities, rotation=20)
    axis.set_ylabel("pull")
    axis.axhspan(-1, 1, alpha=0.15)
    axis.legend()
    return _save(figure, path)


def sampled(experiment: Experiment, datatype: str, number: int) -> Sample:
    """Make the first events of the first file of a datatype and keep what the pictures need."""
    first = next(file for file in experiment.files if file.datatype == datatype)
    sample = Sample()
    for triggered in events(experiment, replace(first, events=number)):
        _look(experiment, first, triggered, sample)
    return sample


def _look(experiment: Experiment, file: Any, triggered: Triggered, sample: Sample) -> None:  # noqa: ANN401
    order = [address.rawid for address in experiment.layout.tracemap]
    for hit in triggered.happening.hits:
        detector = experiment.layout.detectors[hit.detector]
        row = order.index(detector.address.rawid)
        if row not in triggered.channels:
            continue
        trace = triggered.rows[row, 4:]
        sample.keep(sample.traces, hit.kind.name.lower().replace("_", "-"), trace, 3)
        if hit.kind is Kind.SINGLE and hit.charge > 1000.0:
            sample.keep(sample.edges, detector.kind, trace, 25)
        true = experiment.constants(detector, file)
        height = shape.height(shape.restored(trace, true.tau))
        if height > 50.0:
            ratio = shape.peak_current(trace) / height
            sample.hits.append((detector.kind, int(hit.kind), height * true.gain + true.offset, ratio))
    if triggered.photoelectrons:
        rawid, count = max(triggered.photoelectrons.items(), key=lambda item: item[1])
        sample.keep(sample.traces, "light" if count > 3 else "dark", triggered.rows[order.index(rawid), 4:], 3)


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.rcdefaults()  # figures are the same whatever the settings of the user
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    return figure, axes


def _save(figure: Any, path: Path) -> Path:  # noqa: ANN401
    from matplotlib import pyplot

    with appearing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90)
    pyplot.close(figure)
    return path


def _times(trace: Trace) -> NDArray[np.float64]:
    return np.asarray(np.arange(len(trace)) * SAMPLING_NS * 1e-3)


def waveforms(traces: dict[str, list[Trace]]) -> Any:  # noqa: ANN401
    """Up to three traces of every class."""
    names = sorted(traces)
    columns = 4
    figure, axes = _figure(-(-len(names) // columns), columns, (16, 3 * -(-len(names) // columns)))
    for axis, name in zip(axes.flat, names, strict=False):
        for trace in traces[name]:
            axis.plot(_times(trace), trace, lw=0.7)
        axis.set_title(name)
        axis.set_xlabel("time [us]")
        axis.set_ylabel("ADC counts")
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    return figure


def edges(traces: dict[str, list[Trace]]) -> Any:  # noqa: ANN401
    """Normalised leading edges of single-site events by detector type."""
    figure, axes = _figure(1, max(len(traces), 1), (5 * max(len(traces), 1), 4))
    for axis, (kind, found) in zip(axes.flat, sorted(traces.items()), strict=False):
        for trace in found:
            wave = trace.astype(float) - trace[shape.BASELINE].mean()
            axis.plot(_times(trace)[1780:1960], wave[1780:1960] / wave.max(), lw=0.7)
        axis.set_title(f"{kind}: single-site above 1 MeV")
        axis.set_xlabel("time [us]")
    return figure


def spectra(cal: Sample, phy: Sample) -> Any:  # noqa: ANN401
    """Energies by our own trapezoid with the true gain."""
    figure, axes = _figure(2, 1, (14, 8))
    for axis, (name, sample) in zip(axes.flat, {"228Th calibration": cal, "physics": phy}.items(), strict=True):
        energy = np.array([hit[2] for hit in sample.hits if hit[1] not in {Kind.PULSER, Kind.FORCED}])
        axis.hist(energy, np.arange(0, 2800 if sample is cal else 6000, 4 if sample is cal else 10), histtype="step")
        axis.set_yscale("log")
        axis.set_title(name)
        axis.set_xlabel("energy [keV]")
    return figure


def aoe(cal: Sample) -> Any:  # noqa: ANN401
    """A/E against energy by detector type."""
    kinds = sorted({hit[0] for hit in cal.hits})
    figure, axes = _figure(1, max(len(kinds), 1), (6 * max(len(kinds), 1), 5))
    for axis, kind in zip(axes.flat, kinds, strict=False):
        chosen = np.array([hit[2:] for hit in cal.hits if hit[0] == kind and hit[1] != Kind.PULSER])
        axis.plot(chosen[:, 0], chosen[:, 1], ".", ms=1.5)
        axis.set_ylim(0, 1.5 * np.median(chosen[:, 1]))
        axis.set_title(f"{kind}: A/E")
        axis.set_xlabel("energy [keV]")
    return figure


def beside(cal: Sample, phy: Sample, real: Path) -> Any:  # noqa: ANN401
    """Real traces on the left, simulated ones on the right: germanium, its leading edge, light."""
    figure, axes = _figure(3, 2, (14, 11))
    germanium = [trace for _, trace in zip(range(12), _real(real / "th228.fcio"), strict=False)]
    simulated = [trace for name in ("single", "multi", "surface") for trace in cal.traces.get(name, [])]
    light = [trace for _, trace in zip(range(6), _real(real / "L200-comm-20211130-phy-spms.fcio"), strict=False)]
    for column, traces in enumerate((germanium, simulated)):
        for trace in traces:
            axes[0, column].plot(_times(trace), trace, lw=0.7)
            rise = int(np.argmax(np.abs(np.diff(trace.astype(float)))))
            part = trace.astype(float)[max(rise - 80, 0) : rise + 80] - trace[: max(rise - 200, 1)].mean()
            if part.size == 160 and part.max() > 2000.0:
                axes[1, column].plot(part / part.max(), lw=0.7)
    for column, traces in enumerate((light, phy.traces.get("light", []) + phy.traces.get("dark", []))):
        for trace in traces:
            axes[2, column].plot(_times(trace), trace, lw=0.7)
    for column, name in enumerate(("real", "simulated")):
        axes[0, column].set_title(f"{name}: germanium")
        axes[1, column].set_title(f"{name}: leading edges")
        axes[2, column].set_title(f"{name}: light sensors")
    return figure


def _real(path: Path) -> Iterator[Trace]:
    """Traces of a FlashCam file."""
    width = 0
    for tag, frames in fcio.records(path):
        if tag == fcio.CONFIG:
            width = 2 + int.from_bytes(frames[2], "little")
        elif tag == fcio.EVENT:
            yield from np.frombuffer(frames[4], "<u2").reshape(-1, width)[:, 2:]
        elif tag == fcio.SPARSE_EVENT:
            yield from (np.frombuffer(row, "<u2")[2:] for row in frames[7:])
