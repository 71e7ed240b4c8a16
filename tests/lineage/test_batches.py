"""The status of a cycle is the same whether its files are looked at together, one by one, or by two processes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.door.status import status
from dataflow.plan import batches, halves, keptplan, look
from dataflow.plan.alike import Alike
from dataflow.plan.keptplan import Stamp
from dataflow.plan.survey import Survey, all_jobs
from dataflow.provenance.many import digests, texts
from dataflow.provenance.recipe import digest
from dataflow.provenance.records import notes_file, record_file

from ..plan.conftest import KEYS, MAP, STATUSES, TESTSTAND_KEYS, Tree
from .conftest import surveyed

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
"""Python 3.12 and later warn of forks in a process with threads, such as that of a test."""
CAL = tuple(f"l200-p03-r002-cal-20230401T0{hour}0000Z" for hour in range(4))
PHY = tuple(f"l200-p03-r002-phy-20230401T1{hour}0000Z" for hour in range(8))
AT_ONCE = tuple(f"l200-p03-r003-{kind}-20230501T0{hour}0000Z" for hour in range(6) for kind in ("phy", "fft"))
NOTES = {"channels": {"V02160A": {"state": "failed", "step": "par_dsp_pz", "reason": "no pulses"}}}
Change = Callable[[Tree], object]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cycle with several files in each series, some series taken at the same time, in which all is made."""
    tree = Tree(tmp_path_factory.mktemp("made") / "cycle")
    tree.metadata()
    tree.daq(*KEYS, *CAL, *PHY, *AT_ONCE)
    produce(tree)
    return tree.root


@pytest.fixture
def made(template: Path, empty: Tree) -> Tree:
    """A copy of it."""
    shutil.copytree(template, empty.root, dirs_exist_ok=True)
    return empty


def produce(tree: Tree) -> None:
    """Make everything: empty outputs with their records, which say that each job took another time."""
    cycle = tree.open()
    survey = Survey(cycle)
    for number, (step, key) in enumerate(all_jobs(cycle)):
        for output in map(Path, survey.outputs(step, key)):
            record = record_file(output, cycle.lineage(step, key))
            record.parent.mkdir(parents=True, exist_ok=True)
            output.touch()
            record.write_text(json.dumps({"seconds": 1.0 + number % 7, "threads": 1, "recipe": {}}))
    cycle.lineages.identities.save()


def tier(tree: Tree, name: str, key: str) -> Path:
    _, period, run, datatype, _ = key.split("-")
    return tree.root / f"generated/tier/{name}/{datatype}/{period}/{run}/{key}-tier_{name}.lh5"


def daq(tree: Tree, key: str) -> Path:
    _, period, run, datatype, _ = key.split("-")
    return tree.root / f"generated/tier/daq/{datatype}/{period}/{run}/{key}.fcio"


def record(output: Path) -> Path:
    return next(file for file in (output.parent / ".lineage").glob(f"{output.name}.*.json") if "notes" not in file.name)


def asked(tree: Tree) -> dict[str, Any]:
    config = tree.root / "config.json"
    if not config.exists() or json.loads(config.read_text(encoding="utf-8")) != tree.config:
        tree.save()  # only then: a plan is kept for the file as it is
    return status({"config": str(config), "experiment": None, "cores": 2})


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Stamp | None]:
    """Whether all is planned from now on: an entry for each time."""
    times: list[Stamp | None] = []
    anew = look._anew  # noqa: SLF001 - whether it is called is what is to be known

    def count(flow: Any, survey: Any, stamp: Stamp | None) -> Any:  # noqa: ANN401
        times.append(stamp)
        return anew(flow, survey, stamp)

    monkeypatch.setattr(look, "_anew", count)
    return times


def answers(tree: Tree, monkeypatch: pytest.MonkeyPatch, *, is_kept: bool = False) -> dict[str, Any]:
    """The status, which must be the same in all ways in which it is found; whether by the plan that was kept."""
    together = asked(tree)
    with monkeypatch.context() as patch:
        patch.setattr(batches, "MANY", 0)
        patch.setattr(keptplan, "RESTING", 0)
        planned = counted(patch)
        assert asked(tree) == together  # by the plan that was kept before, if it holds
        assert is_kept == (not planned)
        patch.setattr(halves, "_has_core", lambda: True)
        assert asked(tree) == together  # by the one that was kept now, if any
        (tree.root / "generated/tmp/plan.jsonl").unlink(missing_ok=True)
        assert asked(tree) == together
    with monkeypatch.context() as patch:
        patch.setattr(Alike, "lineages", lambda *_: None)
        assert asked(tree) == together
    surveyed(tree.open())
    return together


def kept(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The status, with the plan kept for the next time."""
    with monkeypatch.context() as patch:
        patch.setattr(batches, "MANY", 0)
        patch.setattr(keptplan, "RESTING", 0)
        found = asked(tree)
    assert (tree.root / "generated/tmp/plan.jsonl").is_file()
    return found


def rewritten(tree: Tree) -> None:
    file = daq(tree, PHY[2])
    seen = file.stat()
    file.write_bytes(b"others")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))


def failed(tree: Tree) -> None:
    for key in (AT_ONCE[3], AT_ONCE[2], PHY[1]):
        output = tier(tree, "dsp", key)
        record(output).unlink()
        record_file(output, "failed").write_text(json.dumps({"error": f"of {key}", "log": "a.log", "time": "now"}))


def noted(tree: Tree) -> None:
    for key in PHY[2:5]:
        notes_file(tier(tree, "hit", key), "0" * 32).write_text(json.dumps(NOTES))


def foreign(tree: Tree) -> None:
    record(tier(tree, "dsp", PHY[4])).unlink()


def linked(tree: Tree, *, with_record: bool) -> None:
    """Let an output be a link to a file elsewhere, as in a derived cycle."""
    output = tier(tree, "tcm", PHY[5])
    there = tree.root.parent / "elsewhere" / output.name
    (there.parent / ".lineage").mkdir(parents=True)
    if with_record:
        shutil.copy(record(output), there.parent / ".lineage")
    output.rename(there)
    output.symlink_to(there)


def from_on(tree: Tree, time: str, **texts: str) -> None:
    """Another file of each folder of metadata from a time on."""
    for folder, text in texts.items():
        path = folder.replace("__", "/")
        tree.write(f"inputs/{path}/later.yaml", text)
        always = {"valid_from": "20200101T000000Z", "apply": ["always.yaml"]}
        tree.validity(path, always, {"valid_from": time, "mode": "reset", "apply": ["later.yaml"]})


def configured(tree: Tree) -> None:
    rules = {"snakemake_rules": {"tier_hit": {"inputs": {"hit_config": "$_/hit.yaml"}}}}
    tree.write(
        "inputs/dataprod/config/hit.yaml", json.dumps({"outputs": ["a"], "operations": {"a": {"expression": "b"}}})
    )
    tree.write("inputs/dataprod/config/phy.yaml", json.dumps(rules))
    tree.write("inputs/dataprod/config/none.yaml", "{}")
    of_all = {"valid_from": "20200101T000000Z", "apply": ["none.yaml"]}
    tree.validity(
        "dataprod/config", of_all, {"valid_from": "20230401T130000Z", "category": "phy", "apply": ["phy.yaml"]}
    )


def overridden(tree: Tree) -> None:
    tree.write("inputs/dataprod/overrides/hit/a.yaml", "V02160A: {operations: {a: {expression: b, parameters: {}}}}")
    tree.validity("dataprod/overrides/hit", {"valid_from": "20230401T140000Z", "apply": ["a.yaml"]})


def another_calibration(tree: Tree) -> None:
    entries = [{"valid_from": "20230401T120000Z", "apply": [KEYS[4]]}]
    tree.write("inputs/datasets/run_override.yaml", json.dumps(entries))


def configure(tree: Tree, **paths: str) -> None:
    tree.config["paths"] |= paths


HARMLESS: dict[str, Change] = {
    "an output is written over": lambda tree: tier(tree, "hit", PHY[3]).write_text("other content"),
    "a record is damaged": lambda tree: record(tier(tree, "hit", PHY[3])).write_text("{"),
    "an output is a link": lambda tree: linked(tree, with_record=True),
    "the list of identities is gone": lambda tree: (tree.root / "generated/tmp/identities.jsonl").unlink(),
}
"""What the status does not depend on: the names of records tell what an output was made by."""
CHANGES: dict[str, Change] = {
    "an output is gone": lambda tree: tier(tree, "hit", PHY[3]).unlink(),
    "a raw file is gone": lambda tree: tier(tree, "raw", PHY[0]).unlink(),
    "a calibration's file is gone": lambda tree: tier(tree, "raw", CAL[1]).unlink(),
    "a record is gone": foreign,
    "an output is a link to what was made otherwise": lambda tree: linked(tree, with_record=False),
    "a record is twice there": lambda tree: record_file(tier(tree, "tcm", PHY[6]), "1" * 32).write_text("{}"),
    "an output was made otherwise": lambda tree: record(tier(tree, "tcm", PHY[6])).rename(
        record_file(tier(tree, "tcm", PHY[6]), "2" * 32)
    ),
    "a job was killed": lambda tree: record(tier(tree, "evt", PHY[6])).rename(
        record_file(tier(tree, "evt", PHY[6]), "unfinished")
    ),
    "a DAQ file is new": lambda tree: tree.daq("l200-p03-r002-phy-20230401T190000Z"),
    "a calibration is new": lambda tree: tree.daq("l200-p03-r002-cal-20230401T093000Z"),
    "a DAQ file has another form": lambda tree: daq(tree, PHY[5]).rename(daq(tree, PHY[5]).with_suffix(".orca")),
    "a DAQ file is gone": lambda tree: daq(tree, PHY[5]).unlink(),
    "a DAQ file and its raw file are gone": lambda tree: (
        daq(tree, PHY[5]).unlink(),
        tier(tree, "raw", PHY[5]).unlink(),
    ),
    "a DAQ file is written over": rewritten,
    "a file is no DAQ file": lambda tree: tree.write("generated/tier/daq/phy/notes.txt"),
    "jobs failed": failed,
    "jobs have notes": noted,
    "a channel map changes inside a run": lambda tree: from_on(
        tree, "20230401T143000Z", hardware__configuration__channelmaps=MAP.replace("1104001", "1104007")
    ),
    "a status changes for good": lambda tree: tree.write(
        "inputs/datasets/statuses/always.yaml", STATUSES.replace("'off', psd", "ac, psd")
    ),
    "a status changes inside a calibration": lambda tree: from_on(
        tree, "20230401T013000Z", datasets__statuses=STATUSES.replace("{processable: true", "{processable: false", 1)
    ),
    "a step is configured otherwise for some datatypes from a time on": configured,
    "parameters are overridden from a time on": overridden,
    "another calibration holds from a time on": another_calibration,
    "files are ignored": lambda tree: tree.write(
        "inputs/datasets/ignored_daq_cycles.yaml", json.dumps({"removed": [PHY[2]]})
    ),
    "a tier lies elsewhere": lambda tree: configure(tree, tier_tcm=str(tree.root.parent / "tcm")),
    "parameters lie elsewhere": lambda tree: configure(tree, par_hit=str(tree.root.parent / "hit")),
}


KEPT = {
    "an output is written over",
    "a record is damaged",
    "an output is a link",
    "an output is gone",
    "a raw file is gone",
    "a calibration's file is gone",
    "an output is a link to what was made otherwise",
    "a record is twice there",
    "an output was made otherwise",
    "a job was killed",
    "jobs have notes",
}
"""Changes after which the plan that was kept is used: they leave all that it was made from, and nothing foreign."""


@pytest.mark.parametrize("change", HARMLESS)
def test_what_the_status_does_not_depend_on(made: Tree, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    before = kept(made, monkeypatch)
    HARMLESS[change](made)
    assert answers(made, monkeypatch, is_kept=change in KEPT) == before
    assert set(before["jobs"]) == {"there"}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen_in_all_ways(made: Tree, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    before = kept(made, monkeypatch)
    CHANGES[change](made)
    assert answers(made, monkeypatch, is_kept=change in KEPT) != before


def test_nothing_made_yet(empty: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    empty.metadata()
    empty.daq(*KEYS, *CAL, *PHY)
    assert set(answers(empty, monkeypatch)["jobs"]) == {"missing"}


def test_a_test_stand(empty: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    empty.config = {"experiment": "hades", "keys": "teststand", "paths": {}}
    for key in TESTSTAND_KEYS:
        _, detector, measurement, _, _ = key.split("-")
        empty.write(f"generated/tier/daq/{detector}/{measurement}/{key}.fcio")
    produce(empty)
    assert set(answers(empty, monkeypatch)["jobs"]) == {"there"}
    (empty.root / "generated/tier/dsp/V99000A/co_HS5_top_dlt" / f"{TESTSTAND_KEYS[6]}-tier_dsp.lh5").unlink()
    assert answers(empty, monkeypatch)["jobs"]["missing"] == 1


def test_a_mistake_is_told_in_the_same_words(made: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    from_on(made, "20230401T143000Z", datasets__statuses="V02160B: {processable: true}")
    said = []
    for lineages in (Alike.lineages, lambda *_: None):
        with monkeypatch.context() as patch, pytest.raises(Exception, match="have no status from") as error:
            patch.setattr(Alike, "lineages", lineages)
            asked(made)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_most_files_are_looked_at_together(made: Tree) -> None:
    found, _ = batches.everything(Survey(made.open()))
    assert max(len(batch.keys) for batch in found if batch.step == "tier_hit") == len(PHY)
    assert max(len(batch.keys) for batch in found if batch.step == "par_dsp_spms") == len(PHY)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "_has_core", lambda: True)


def where(items: Sequence[str]) -> tuple[list[str], int]:
    return list(items), os.getpid()


@pytest.mark.usefixtures("forked")
def test_the_second_half_is_done_by_another_process() -> None:
    (first, here), (second, there) = halves.in_halves(where, ["a"], ["b"])
    assert (first, second) == (["a"], ["b"]) and here == os.getpid() != there


@pytest.mark.usefixtures("forked")
def test_a_process_that_dies_is_no_harm_and_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    here = os.getpid()

    def work(items: Sequence[str]) -> tuple[list[str], int]:
        if os.getpid() != here:
            os.kill(os.getpid(), 9)
        return where(items)

    assert halves.in_halves(work, ["a"], ["b"]) == ((["a"], here), (["b"], here))
    assert "half of the files failed (-9)" in capfd.readouterr().err


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(("error", "is_told"), [(ZeroDivisionError("ours"), True), (UserError("theirs"), False)])
def test_an_error_of_ours_in_the_other_process_is_told_with_its_traceback(
    capfd: pytest.CaptureFixture[str], error: Exception, *, is_told: bool
) -> None:
    here = os.getpid()

    def work(items: Sequence[str]) -> tuple[list[str], int]:
        if os.getpid() != here:
            raise error
        return where(items)

    assert halves.in_halves(work, ["a"], ["b"]) == ((["a"], here), (["b"], here))
    said = capfd.readouterr().err
    assert ("ZeroDivisionError: ours" in said and "Traceback" in said) == is_told
    assert is_told or said == ""


@pytest.mark.usefixtures("forked")
def test_a_failure_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    forked: list[int] = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: forked.append(pid := fork()) or pid)

    def work(items: Sequence[str]) -> list[str]:
        raise ValueError("told" if "a" in items else "not told")

    with pytest.raises(ValueError, match="^told"):
        halves.in_halves(work, ["a"], ["b"])
    (child,) = forked
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)


def test_hashes_of_many_values_are_those_of_each() -> None:
    names = ["a", 'quoted "', "%s %% \\", "ä\n", "\0", "\udcff"]
    numbers = [str(number) for number in range(len(names))]

    def value(name: object, number: object) -> dict[str, object]:
        return {"z": [number], "50 %": {"name": name, "rest": "100 % {of} it"}, "a": None}

    places = texts(names), texts(numbers)
    found = digests(value(*places), places)
    assert found == [digest(value(*pair)) for pair in zip(names, numbers, strict=True)]
