"""The commands of ``python -m gebox``.

Heavy modules are imported by the command that needs them, so that ``metadata`` runs with PyYAML alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gebox.errors import UserError
from gebox.experiment import build, load
from gebox.experiment.build import PRESETS, SOURCES


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="gebox", description="A small germanium experiment in a box, with the truth.")
    commands = top.add_subparsers(dest="command", required=True)
    _metadata(commands.add_parser("metadata", help="write the metadata tree of an experiment"))
    _simulate(commands.add_parser("simulate", help="write its DAQ files, and the truth beside"))
    _training(commands.add_parser("training", help="write labelled traces, to train what labels traces"))
    _draw(commands.add_parser("draw", help="draw example waveforms and spectra as PNG"))
    _corrupt(commands.add_parser("corrupt", help="write a damaged copy of a DAQ file, for tests"))
    _check(commands.add_parser("check", help="compare a finished cycle with the truth"))
    return top


def _metadata(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the tree goes")
    sub.add_argument("--seed", type=int, default=1, help="everything follows from it (default: 1)")
    sub.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of events (default: 1)")
    sub.add_argument("--preset", choices=PRESETS, default="small", help="4 or 8 germanium detectors (default: small)")
    sub.add_argument("--source", choices=SOURCES, default=SOURCES[0], help="calibration source (default: Th228)")
    sub.add_argument(
        "--escapes",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of the calibration events, chosen to be double escapes of 2614.5 keV (default: 0)",
    )
    sub.add_argument(
        "--training",
        action="store_true",
        help="configure a support vector machine; `simulate` writes its training data",
    )
    sub.set_defaults(run=run_metadata)


def _simulate(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--metadata", type=Path, required=True, metavar="DIR", help="what `gebox metadata` wrote")
    sub.add_argument("--daq", type=Path, required=True, metavar="DIR", help="where the DAQ files go")
    sub.add_argument("--truth", type=Path, required=True, metavar="DIR", help="where the truth goes")
    sub.add_argument("--scale", type=float, help="another scale than the metadata's")
    sub.add_argument(
        "--jobs", "-j", type=int, default=1, help="processes (default: 1); the result does not depend on it"
    )
    sub.add_argument("--format", choices=("fcio", "orca"), default="fcio", help="container (default: fcio)")
    sub.add_argument("--only", default="", metavar="TEXT", help="only the files whose key contains this")
    sub.set_defaults(run=run_simulate)


def _check(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("cycle", type=Path, metavar="CYCLE", help="the folder of a production cycle")
    sub.add_argument("--truth", type=Path, metavar="DIR", help="the truth (default: as recorded in the metadata)")
    sub.add_argument("--limit", type=float, default=5.0, help="standard deviations that are too many (default: 5)")
    sub.add_argument("--draw", type=Path, metavar="FILE", help="also draw all pulls into a PNG file")
    sub.set_defaults(run=run_check)


def _training(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--metadata", type=Path, required=True, metavar="DIR", help="what `gebox metadata` wrote")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="the LH5 file")
    sub.add_argument("--good", type=int, default=2000, help="pulses without a defect (default: 2000)")
    sub.add_argument("--each", type=int, default=250, help="traces of each defect, and of noise (default: 250)")
    sub.add_argument("--sample", type=int, default=1, help="another number gives other traces (default: 1)")
    sub.set_defaults(run=run_training)


def run_training(arguments: argparse.Namespace) -> int:
    """Write labelled traces."""
    from gebox.training import write_training

    experiment = load(arguments.metadata)
    wanted = arguments.good, arguments.each
    counts = write_training(experiment, arguments.out, *wanted, sample=arguments.sample)
    print(f"{arguments.out}: {', '.join(f'{count} {name}' for name, count in counts.items())}")
    return 0


def _draw(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--metadata", type=Path, required=True, metavar="DIR", help="what `gebox metadata` wrote")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the pictures go")
    sub.add_argument("--real", type=Path, metavar="DIR", help="legend-testdata's FlashCam files, to draw beside")
    sub.add_argument("--events", type=int, default=4000, help="calibration events to draw from (default: 4000)")
    sub.set_defaults(run=run_draw)


def run_draw(arguments: argparse.Namespace) -> int:
    """Draw pictures."""
    from gebox.draw import draw

    for path in draw(load(arguments.metadata), arguments.out, events=arguments.events, real=arguments.real):
        print(path)
    return 0


def _corrupt(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", type=Path, help="a DAQ file")
    sub.add_argument("target", type=Path, help="the damaged copy")
    sub.add_argument("--how", choices=("truncate", "flip", "drop"), default="truncate", help="bytes, bits or records")
    sub.add_argument("--amount", type=int, default=0, help="how many (default: some)")
    sub.add_argument("--seed", type=int, default=1, help="decides which (default: 1)")
    sub.set_defaults(run=run_corrupt)


def run_corrupt(arguments: argparse.Namespace) -> int:
    """Damage a file."""
    from gebox.files.corrupt import corrupt

    corrupt(arguments.source, arguments.target, how=arguments.how, amount=arguments.amount, seed=arguments.seed)
    return 0


def run_metadata(arguments: argparse.Namespace) -> int:
    """Write the metadata tree."""
    from gebox.metadata import write_tree

    wanted = {name: getattr(arguments, name) for name in ("seed", "scale", "preset", "source", "escapes", "training")}
    experiment = build(**wanted)
    write_tree(experiment, arguments.out)
    print(f"metadata of {len(experiment.layout.detectors)} germanium detectors written to {arguments.out}")
    return 0


def run_simulate(arguments: argparse.Namespace) -> int:
    """Write DAQ files and truth."""
    from gebox.simulate import remember_truth, simulate
    from gebox.training import write_samples

    experiment = load(arguments.metadata, scale=arguments.scale)
    for path in write_samples(experiment, arguments.metadata):
        print(f"labelled traces written: {path}")
    options = {"jobs": arguments.jobs, "only": arguments.only, "form": arguments.format}
    done = simulate(experiment, arguments.daq, arguments.truth, **options)
    remember_truth(arguments.metadata, arguments.truth)
    print(f"{done.written} DAQ files written, {done.skipped} were there already: {arguments.daq}")
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """Compare with the truth."""
    from gebox import checkevents, checklight, checkpulses
    from gebox.check import counts, residuals, results
    from gebox.report import report

    found = results(arguments.cycle, truth=arguments.truth)
    compared = [residual for result in found for residual in residuals(result)]
    if arguments.draw:
        from gebox.draw import draw_pulls

        draw_pulls(compared, arguments.draw)
    kept = checkpulses.compare(arguments.cycle, truth=arguments.truth)
    calibration = report(compared, counts(found), limit=arguments.limit, kept=kept)
    pulses = checkpulses.report(kept)
    events = checkevents.report(checkevents.compare(arguments.cycle, truth=arguments.truth))
    light = checklight.report(checklight.compare(arguments.cycle, truth=arguments.truth), limit=arguments.limit)
    return max(calibration, pulses, events, light)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except UserError as error:
        print(error.render(), file=sys.stderr)
        return 2
    except OSError as error:
        if not error.filename:
            raise
        print(f"error: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
