"""What is wrong with metadata, configuration or code is one sentence in every verb, before anything is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dataflow.door.health import findings
from dataflow.plan import UserError
from dataflow.plan.survey import Survey
from dataflow.plan.why import Explainer
from dataflow.plan.workflow import Workflow
from prodenv.cli.main import run as run_command
from prodenv.cli.parsers import COMMANDS

from ..plan.conftest import KEYS, TESTSTAND_KEYS, Tree
from ..workflow.conftest import Production
from .conftest import Origin, surveyed
from .test_survey import produce

TARGET = "all-l200-p03-r001-*-hit.gen"
CAL, PHY = KEYS[4], KEYS[5]
RAW = f"generated/tier/raw/phy/p03/r001/{PHY}-tier_raw.lh5"
HIT = RAW.replace("raw", "hit")
ALWAYS = {"valid_from": "20200101T000000Z", "apply": "v.yaml"}
Verb = Callable[..., tuple[int, str, str]]
Mistake = Callable[[Tree], object]


def verb_of(root: Path, capfd: pytest.CaptureFixture[str]) -> Verb:
    """Calls a verb for a cycle; gives exit code, standard output and standard error."""

    def call(name: str, *words: str) -> tuple[int, str, str]:
        command = COMMANDS[name]
        code = run_command(command, command.parse([str(root), *words]))
        return code, *capfd.readouterr()

    return call


def override(tree: Tree, text: str, tier: str = "hit") -> None:
    tree.write(f"inputs/dataprod/overrides/{tier}/v.yaml", text)
    tree.validity(f"dataprod/overrides/{tier}", ALWAYS)


def unreadable_override(tree: Tree) -> None:
    override(tree, "V02160A: {pars: [\n")


def listed_override(tree: Tree) -> None:
    override(tree, "- 1\n- 2\n")


def missing_override(tree: Tree) -> None:
    tree.validity("dataprod/overrides/hit", ALWAYS)


def broken_configuration(tree: Tree) -> None:
    tree.write("inputs/dataprod/config/v.yaml", "snakemake_rules: {tier_hitt: {}}\n")
    tree.validity("dataprod/config", ALWAYS)


def broken_chain(tree: Tree) -> None:
    rule = {"tier_hit": {"inputs": {"hit_config": {"__default__": "$_/hit.yaml"}}}}
    tree.write("inputs/dataprod/config/v.yaml", json.dumps({"snakemake_rules": rule}))
    tree.write("inputs/dataprod/config/hit.yaml", "outputs: [\n")
    tree.validity("dataprod/config", ALWAYS)


def broken_statuses(tree: Tree) -> None:
    tree.write("inputs/datasets/statuses/always.yaml", "V02160A: {processable: maybe}\n")


def broken_psd(tree: Tree) -> None:
    tree.write("inputs/datasets/statuses/always.yaml", "V02160A: {psd: 3}\nV02160B: {}\n")


def broken_electronics(tree: Tree) -> None:
    tree.write("inputs/hardware/configuration/channelmaps/always.yaml", "V02160A: {system: geds, daq: 7}\n")


def broken_code(tree: Tree) -> None:
    tree.write("dataflow/src/dataflow/steps/tier_hit/build.py", "import this\ndef build(:\n")


MISTAKES = pytest.mark.parametrize(
    ("error", "place"),
    [
        (unreadable_override, "overrides/hit/v.yaml:2: "),
        (listed_override, "overrides/hit/v.yaml:1: a mapping is expected here"),
        (missing_override, "overrides/hit/validity.yaml:2: there is no file 'v.yaml'"),
        (broken_configuration, "config/v.yaml:1: there is no rule 'tier_hitt'"),
        (broken_chain, "config/hit.yaml:2: "),
        (broken_statuses, "statuses/always.yaml:1: V02160A: processable must be"),
        (broken_psd, "statuses/always.yaml:1: V02160A: psd must be a mapping"),
        (broken_electronics, "channelmaps/always.yaml:1: V02160A: daq must be a mapping"),
        (broken_code, "steps/tier_hit/build.py:2: "),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)


@MISTAKES
@pytest.mark.parametrize("made", [True, False], ids=["made", "empty"])
def test_every_verb_refuses_what_is_wrong(
    origin: Origin, capfd: pytest.CaptureFixture[str], error: Mistake, place: str, made: bool
) -> None:
    if made:
        produce(origin)
    origin.save()
    error(origin)
    verb = verb_of(origin.root, capfd)
    for name, *words in (("status",), ("plan", TARGET), ("why", HIT), ("run", TARGET), ("run", TARGET, "--dry-run")):
        code, out, err = verb(name, *words)
        assert (code, out) == (2, ""), (name, out)
        assert err.startswith("error: ") and place in err and "Traceback" not in err, (name, err)
    found = [what for state, what, _ in findings(origin.open().setup) if state == "bad"]
    assert any(place in what for what in found), found
    with pytest.raises(UserError):
        Workflow(origin.save()).targets([TARGET])


@MISTAKES
def test_snakemake_refuses_what_is_wrong(production: Production, error: Mistake, place: str) -> None:
    error(production.tree)
    result = production.run(TARGET)
    assert result.returncode == 2 and place in result.stderr
    assert "Exception" not in result.stderr and production.jobs() == []


def test_what_is_made_and_not_concerned_is_still_explained(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    produce(origin)
    origin.save()
    broken_code(origin)
    code, out, _ = verb_of(origin.root, capfd)("why", RAW)
    assert code == 0 and "as it would be made now" in out


def test_a_doctor_tells_each_problem_once(origin: Origin) -> None:
    broken_code(origin)
    unreadable_override(origin)
    found = [what for _, what, _ in findings(origin.open().setup)]
    assert len(found) == len(set(found)) and any("v.yaml:2: " in what for what in found)


def test_a_doctor_of_a_whole_cycle_finds_nothing(origin: Origin) -> None:
    assert [state for state, _, _ in findings(origin.open().setup)] == ["ok"]


def test_planning_reads_no_data(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflow.provenance.identity.hashed", lambda path: pytest.fail(f"{path} was read"))
    flow = Workflow(origin.save())
    assert len(Survey(flow.cycle).to_make(flow.wanted([TARGET]))) > 5


def test_a_file_of_another_cycle_that_is_gone_is_no_error_of_the_survey(origin: Origin, tmp_path: Path) -> None:
    produce(origin)
    origin.config["paths"]["tier_tcm"] = str(tmp_path / "elsewhere")
    found = {(item.step, item.state) for item in surveyed(origin.open())}
    assert ("tier_evt", "stale") in found and ("tier_raw", "there") in found
    with pytest.raises(UserError, match="belongs to another cycle"):
        Workflow(origin.save()).targets([TARGET])


def test_parameters_of_another_cycle_that_are_not_made_yet_are_no_error_of_the_survey(
    origin: Origin, tmp_path: Path
) -> None:
    produce(origin)
    folder = tmp_path / "pars"
    folder.mkdir()
    (folder / "validity.yaml").write_text('[{"valid_from": "20200101T000000Z", "apply": ["a.yaml"]}]')
    origin.config["paths"]["par_dsp"] = str(folder)
    found = {(item.step, item.state) for item in surveyed(origin.open())}
    assert ("tier_dsp", "stale") in found and ("tier_raw", "there") in found
    with pytest.raises(UserError, match=r"validity\.yaml:1: there is no file 'a\.yaml'"):
        Workflow(origin.save()).targets([TARGET])


@pytest.mark.parametrize("text", ["{", "[1,2]", "{}", '{"recipe": 3}', '{"recipe": {}, "inputs": {"raw": 1}}'])
def test_a_record_that_cannot_be_read_is_told(origin: Origin, capfd: pytest.CaptureFixture[str], text: str) -> None:
    produce(origin)
    origin.save()
    (record,) = (origin.root / HIT).parent.glob(f".lineage/{Path(HIT).name}.*.json")
    record.write_text(text)
    verb = verb_of(origin.root, capfd)
    code, out, _ = verb("why", HIT)
    assert code == 0 and str(record.relative_to(origin.root)) in out and "cannot be read" in out
    assert "as it would be made now" not in out and "None" not in out
    assert "cannot be read" in verb("why", HIT, "--tree")[1]
    record.unlink()
    assert "is foreign" in verb("why", HIT)[1]


def test_what_a_file_is_made_of_is_told_once(origin: Origin) -> None:
    """Told wherever it is read, it was a hundred megabytes for a file of hit."""
    produce(origin)
    flow = Workflow(origin.save())
    place = flow.job_of(HIT)
    assert place
    told = Explainer(flow.cycle, whole=True).why(*place).plain()
    files: list[str] = []
    ahead = [told]
    while ahead:
        each = ahead.pop()
        assert not each["repeated"] or (each["inputs"], each["differences"]) == ([], [])
        files += [each["file"]] * (not each["repeated"] and bool(each["inputs"]))
        ahead += each["inputs"]
    assert len(files) == len(set(files)) > 10
    assert len(json.dumps(told)) < 1_000_000


@pytest.mark.parametrize("text", ['{"recipe": {}, "seconds": "long"}', '{"recipe": [], "seconds": 1}'])
def test_times_in_damaged_records_are_left_out(origin: Origin, capfd: pytest.CaptureFixture[str], text: str) -> None:
    produce(origin)
    origin.save()
    for record in origin.root.glob("generated/tier/*/*/*/*/.lineage/*.json"):
        record.write_text(text)
    assert verb_of(origin.root, capfd)("status")[0] == 0


def test_a_doctor_warns_of_overrides_of_unknown_detectors(origin: Origin) -> None:
    override(origin, "V02160X: {x: 1}\nV02160A: {x: 1}\nB00000C: {x: 1}\n")
    ((_, what, fix),) = (each for each in findings(origin.open().setup) if each[0] == "warning")
    assert "V02160X" in what and "did you mean 'V02160" in fix


def test_a_detector_of_a_test_stand_is_known(empty: Tree) -> None:
    empty.config = {"experiment": "hades", "keys": "teststand", "paths": {}}
    for key in TESTSTAND_KEYS:
        _, detector, measurement, _, _ = key.split("-")
        empty.write(f"generated/tier/daq/{detector}/{measurement}/{key}.fcio")
    override(empty, "B00000B: {pz: {tau1: 1}}\nV99000A: {pz: {tau1: 1}}\n", "dsp")
    assert [state for state, _, _ in findings(empty.open().setup)] == ["ok"]
