"""A mistake in a chain of the metadata stops the plan, also where only dspeed can see it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from dataflow.base.errors import UserError
from dataflow.metadata.stepconfig import STEPS_FOLDER
from dataflow.physics import dspeed_outputs
from dataflow.physics.trychains import wrong
from dataflow.plan import chainbuilds
from dataflow.plan.workflow import Workflow

from .test_left_out import CAL, chain_with, install_packages

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

Maker = Callable[..., "SmallCycle"]
SHIPPED = sorted(STEPS_FOLDER.glob("*/defaults/processing_chain-*.yaml"))
GERMANIUM = STEPS_FOLDER / "tier_dsp/defaults/processing_chain-geds.yaml"
TARGET = "all-l200-p03-r000-cal-dsp.gen"


@pytest.fixture(autouse=True)
def as_jobs_run_chains() -> None:
    dspeed_outputs.install()


@pytest.fixture(scope="module")
def germanium() -> dict[str, Any]:
    """The chain of germanium detectors."""
    return dict(yaml.safe_load(GERMANIUM.read_text()))


def with_more(chain: dict[str, Any], node: object, output: str = "more") -> dict[str, Any]:
    """A chain with one processor more."""
    changed = deepcopy(chain)
    changed["processors"]["more"] = node
    changed["outputs"].append(output)
    return changed


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: f"{file.parents[1].name}-{file.stem}")
def test_each_chain_that_is_shipped_can_be_built(file: Path) -> None:
    assert wrong(yaml.safe_load(file.read_text())) is None


def numpy(*args: object, **more: object) -> dict[str, Any]:
    """A processor that multiplies."""
    return {"function": "multiply", "module": "numpy", "args": list(args)} | more


CUSP = {
    "function": "cusp_filter",
    "module": "dspeed.processors",
    "args": ["wf_blsub", "more"],
    "init_args": ["sigma"],
}
NO_TYPE = ["waveform", "bl_mean", "more(shape=len(waveform), dtype='q7')"]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (numpy("bl_mean", "more"), "'more' cannot be built: expected 3 arguments from signature (),()->(); found 2"),
        (numpy("entirely_other", 2, "more"), "no processor makes the variable 'entirely_other'"),
        ("bl_mean + entirely_other", "no processor makes the variable 'entirely_other'"),
        (numpy("bl_mean", "10*uss", "more"), "no processor makes the variable 'uss'"),
        (numpy("bl_mean", "db.cut", "more", defaults={"db.cut": "10*uss"}), "no processor makes the variable 'uss'"),
        (numpy("bl_mean", 2, "more", kwargs={"signatur": "()->()"}), "unexpected keyword argument 'signatur'"),
        ({"function": "bl_subtract", "module": "dspeed.processors", "args": NO_TYPE}, "dtype='q7'"),
        (CUSP, "the processor 'more' cannot be built"),
    ],
)
def test_what_dspeed_cannot_build_is_said_with_the_processor(
    germanium: dict[str, Any], node: object, said: str
) -> None:
    found = wrong(with_more(germanium, node))
    assert found is not None
    assert said in found.message
    assert found.names[:2] == ("processors", "more")


@pytest.mark.parametrize(("unit", "said"), [("nss", "nss"), (["kev"], "kev"), ("ADC/nss", "ADC/nss")])
def test_an_unknown_unit_is_said_because_dspeed_would_write_times_in_samples(
    germanium: dict[str, Any], unit: object, said: str
) -> None:
    changed = deepcopy(germanium)
    changed["processors"]["tp_99"]["unit"] = unit
    found = wrong(changed)
    assert found is not None
    assert found.message == f"the unit {said!r} of the processor 'tp_99' is not known"
    assert found.names == ("processors", "tp_99", "unit")


@pytest.mark.parametrize("unit", ["us", "µs", "ADC/sample", "1/sample", "ADC*ns", "pe", "%", None, "", ["ns"]])
def test_units_of_the_field_are_known(germanium: dict[str, Any], unit: object) -> None:
    changed = deepcopy(germanium)
    changed["processors"]["tp_99"]["unit"] = unit
    assert wrong(changed) is None


def test_a_processor_with_parameters_is_named(germanium: dict[str, Any]) -> None:
    changed = deepcopy(germanium)
    changed["processors"]["tp_0_est"]["unit"] = "ADC"  # then it is no time, and cannot be added to one
    found = wrong(changed)
    assert found is not None
    assert found.message.startswith("the processor 'trapEftp' cannot be built")


def test_an_output_that_dspeed_would_leave_out_without_an_error_is_said(germanium: dict[str, Any]) -> None:
    found = wrong(with_more(germanium, numpy("bl_mean", 2, "more"), "entirely_other"))
    assert found is not None
    assert (found.message, found.names) == ("the outputs name 'entirely_other', which no processor makes", ("outputs",))


def test_what_only_data_tell_is_no_mistake(germanium: dict[str, Any]) -> None:
    of_raw = with_more(germanium, numpy("own_column", 2, "more"))
    assert wrong(of_raw, frozenset({"own_column"})) is None
    assert wrong(of_raw) is not None
    words = frozenset({"round", "len", "db", "us", "ns", "more", "wf_presum", "waveform", "timestamp"})
    assert wrong(of_raw, words) is not None  # words of the decoders' sources that are not columns here
    assert wrong(with_more(germanium, numpy("bl_mean", "db.of.a.calibration", "more"))) is None
    assert wrong(with_more(germanium, numpy("bl_mean", 2, "more"), "own_column"), frozenset({"own_column"})) is None


def test_a_chain_for_one_form_of_traces_need_not_fit_the_other(germanium: dict[str, Any]) -> None:
    chain = with_more(germanium, numpy("ps_rate", 2, "more"))
    assert "ps_rate" in str(chain["windowed"]) or "ps_rate, wf_presum" in chain["processors"]
    assert [wrong(chain, form=form) is None for form in ("whole", "windowed", "")] == [True, False, True]


def test_a_chain_for_other_traces_than_most_is_built_for_these() -> None:
    sipm = yaml.safe_load((STEPS_FOLDER / "tier_dsp/defaults/processing_chain-spms.yaml").read_text())
    assert wrong(sipm, form="windowed") is None
    own = yaml.safe_load(yaml.safe_dump(sipm).replace("waveform", "waveform_bit_drop"))
    assert wrong(own, form="whole") is None
    assert wrong(with_more(own, numpy("entirely_other", 2, "more")), form="whole") is not None
    found = wrong(with_more(sipm, numpy("entirely_other", 2, "more")), form="windowed")
    assert found is not None and found.names == ("processors", "more")


@pytest.fixture
def installed(gebox_cycle: Maker) -> SmallCycle:
    """A cycle whose software is that of the tests."""
    cycle = gebox_cycle("cycle", CAL)
    install_packages(cycle)
    python = cycle.folder / "software/python/install/bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return cycle


def files_of(cycle: SmallCycle) -> set[Path]:
    """All files of a cycle but the packages of the tests."""
    return {path for path in cycle.folder.rglob("*") if "site-packages" not in path.parts}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """The processes that build chains."""
    begun: list[list[str]] = []
    real = subprocess.Popen

    def begin(words: list[str], **options: Any) -> Any:
        begun.append(words)
        return real(words, **options)

    monkeypatch.setattr(chainbuilds.subprocess, "Popen", begin)
    return begun


def test_the_mistake_stops_the_plan_with_file_and_line_and_nothing_is_written(installed: SmallCycle) -> None:
    own = chain_with(installed, "args: [wf_presum, tp_min, tp_max,", "args: [wf_presum, tp_max,")
    before = files_of(installed)
    with pytest.raises(UserError, match="expected 5 arguments .* found 4") as caught:
        Workflow(installed.config).targets([TARGET, "-n"])
    number = int(caught.value.message.removeprefix(f"{own}:").partition(":")[0])
    assert "args: [wf_presum, tp_max," in own.read_text().splitlines()[number - 1]
    assert files_of(installed) == before


def test_a_column_of_another_form_of_daq_files_stops_the_plan(installed: SmallCycle) -> None:
    chain_with(installed, "  - trapEftp\n", "  - trapEftp\n  - energy_short\n")  # of CoMPASS; the file is FlashCam's
    with pytest.raises(UserError, match="the outputs name 'energy_short', which no processor makes"):
        Workflow(installed.config).targets([TARGET, "-n"])


@pytest.mark.parametrize("column", ["fc_input", "ts_pps", "to_master_sec"])
def test_a_column_of_the_form_of_the_daq_file_is_known(installed: SmallCycle, column: str) -> None:
    chain_with(installed, "  - trapEftp\n", f"  - trapEftp\n  - {column}\n")
    assert len(Workflow(installed.config).targets([TARGET, "-n"])) == 1


def test_a_chain_is_built_again_only_if_it_was_changed(installed: SmallCycle, counted: list[list[str]]) -> None:
    own = chain_with(installed, "  - trapEftp\n", "")
    flow = Workflow(installed.config)
    flow.targets([TARGET, "-n"])
    flow.targets([TARGET, "-n"])
    assert len(counted) == 1
    flow.write_tickets([])
    Workflow(installed.config).targets([TARGET, "-n"])
    assert len(counted) == 1
    own.write_text(own.read_text().replace("  - zacEftp\n", ""))
    Workflow(installed.config).targets([TARGET, "-n"])
    assert len(counted) == 2


def test_a_cycle_with_the_chains_that_are_shipped_starts_no_process(
    installed: SmallCycle, counted: list[list[str]]
) -> None:
    Workflow(installed.config).targets([TARGET, "-n"])
    assert counted == []


def test_software_that_does_not_answer_stops_nothing(installed: SmallCycle) -> None:
    chain_with(installed, "args: [wf_presum, tp_min, tp_max,", "args: [wf_presum, tp_max,")
    (installed.folder / "software/python/install/bin/python").write_text("#!/bin/sh\nexit 3\n")
    assert len(Workflow(installed.config).targets([TARGET, "-n"])) == 1
