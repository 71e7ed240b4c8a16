"""Steps of the published flow that legend-dataflow-scripts leaves to others, by the libraries' own functions.

python steps.py raw DAQ RAW
python steps.py tcm RAW TCM TABLE …
python steps.py pz RAW PAR TABLE CHAIN
python steps.py dsp_pars PAR CORRECTIONS PZ …
python steps.py hit_pars PAR LQ …
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

EVENTS = 5000
"""Pulses from which a decay constant is found."""


def raw(source: str, target: str) -> None:
    """One table a channel, compressed by zstd."""
    import hdf5plugin
    from daq2lh5 import build_raw

    streams = {"ch{key:07d}/raw": {"key_list": ["*"], "out_stream": f"{target}:"}}
    settings = {"compression": hdf5plugin.Zstd(3), "shuffle": True}
    build_raw(source, "FlashCam", {"FCEventDecoder": streams}, overwrite=True, hdf5_settings=settings)


def tcm(source: str, target: str, *tables: str) -> None:
    """Coincidences within 10 us."""
    from pygama.evt import build_tcm

    build_tcm([(source, list(tables))], "timestamp", coin_windows=1e-5, out_file=target, out_name="hardware_tcm_1")


def pz(source: str, target: str, table: str, chain: str) -> None:
    """A decay constant as ``par-geds-dsp-pz`` finds it, whose choice of events needs columns that FlashCam lacks."""
    import lh5
    import numpy as np
    from pygama.pargen.pz_correct import PZCorrect

    heights = lh5.read(f"{table}/daqenergy", source).nda
    rows = np.flatnonzero(heights > 0.2 * np.quantile(heights, 0.99))[:EVENTS]
    tau = PZCorrect(yaml.safe_load(Path(chain).read_text()), "waveform")
    tau.get_single_decay_constant(lh5.read(table, source, idx=rows), "tail_slope")
    _write(target, {"pz": dict(tau.output_dict["pz"])})


def dsp_pars(target: str, corrections: str, *files: str) -> None:
    """Those of all detectors, with corrections for trapping."""
    known = yaml.safe_load(Path(corrections).read_text())
    _write(target, {_detector(file): yaml.safe_load(Path(file).read_text()) | {"ctc_params": known} for file in files})


def hit_pars(target: str, *files: str) -> None:
    """Those of all detectors, as ``build-tier-hit`` takes them."""
    from dbetto.catalog import Props

    found = {_detector(file): Props.read_from(file)["pars"] for file in files}
    _write(target, {name: {"pars": {"operations": pars.get("operations", pars)}} for name, pars in found.items()})


def _detector(file: str) -> str:
    return Path(file).name.partition("-")[0]


def _write(target: str, content: dict[str, Any]) -> None:
    Path(target).write_text(yaml.safe_dump(_plain(content), sort_keys=False))  # operations are evaluated in this order


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(name): _plain(value) for name, value in node.items()}
    if hasattr(node, "item"):
        return node.item()  # a number of numpy's
    return [_plain(each) for each in node] if isinstance(node, list | tuple) else node


STEPS: dict[str, Callable[..., None]] = {each.__name__: each for each in (raw, tcm, pz, dsp_pars, hit_pars)}
if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
