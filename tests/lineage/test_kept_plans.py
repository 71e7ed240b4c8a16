"""A plan that was kept for the next look is used as long as it holds, and never when it does not."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataflow.base import textfile
from dataflow.base.errors import UserError
from dataflow.plan import batches, halves, keptplan
from dataflow.plan.cycle import open_cycle
from dataflow.plan.keptplan import Stamp
from dataflow.provenance.lineage import Lineages

from ..plan.conftest import KEYS, Tree
from .test_batches import CHANGES, PHY, asked, counted, daq, made, produce, record, template, tier

__all__ = ["made", "template"]
Change = Callable[[Tree], object]


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take each cycle for a large one, and one process for enough."""
    monkeypatch.setattr(batches, "MANY", 0)
    monkeypatch.setattr(keptplan, "RESTING", 0)
    monkeypatch.setattr(halves, "_has_core", lambda: False)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Stamp | None]:
    """Whether all was planned: an entry for each time."""
    return counted(monkeypatch)


def in_place(file: Path, before: str, after: str) -> None:
    """Change a file so that its name, its size and the time of its change stay as they are."""
    assert len(before) == len(after)
    seen, text = file.stat(), file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def hit_config(tree: Tree, content: str) -> None:
    """Configure hit by a file for all times."""
    tree.write("inputs/dataprod/config/hit.json", content)
    rules = {"snakemake_rules": {"tier_hit": {"inputs": {"hit_config": "$_/hit.json"}}}}
    tree.write("inputs/dataprod/config/all.json", json.dumps(rules))
    tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": ["all.json"]})


def with_a_file(tree: Tree, name: str) -> None:
    """Let the metadata name a file."""
    operations = {"a": {"expression": "b", "parameters": {"table": name}}}
    hit_config(tree, json.dumps({"outputs": ["a"], "operations": operations}))


def outside(tree: Tree) -> Path:
    """A file outside of the cycle that the metadata name."""
    file = tree.root.parent / "elsewhere" / "table.dat"
    file.parent.mkdir(exist_ok=True)
    return file


def prepare_link(tree: Tree) -> None:
    there = tree.root.parent / "metadata"
    (tree.root / "inputs/datasets").rename(there)
    (tree.root / "inputs/datasets").symlink_to(there)


def prepare_software(tree: Tree, *checkouts: dict[str, str]) -> None:
    packages = [{"name": "pygama", "version": "2.6.2"}, {"name": "dspeed", "version": "2.4.3"}]
    tree.write("software/python/software-lock.json", json.dumps({"packages": packages, "checkouts": checkouts}))


def prepare_checkout(tree: Tree) -> None:
    tree.write("software/python/src/pygama/src/pygama/hit.py", "factor = 1\n")
    folder = "software/python/src/pygama"
    prepare_software(tree, {"name": "pygama", "path": folder, "revision": "0", "changes": ""})


def prepare_outside(tree: Tree) -> None:
    outside(tree).write_text("1.0", encoding="utf-8")
    with_a_file(tree, str(outside(tree)))


def prepare_up(tree: Tree) -> None:
    tree.write("table.dat", "1.0")
    with_a_file(tree, "$_/../../../table.dat")


PREPARED: dict[str, tuple[Change, Change]] = {
    "a file of the metadata keeps its size and its time": (
        lambda tree: None,
        lambda tree: in_place(tree.root / "inputs/datasets/statuses/always.yaml", "usability: on", "usability: ac"),
    ),
    "metadata behind a link change": (
        prepare_link,
        lambda tree: in_place(tree.root.parent / "metadata/statuses/always.yaml", "usability: on", "usability: ac"),
    ),
    "a file outside of the metadata changes": (
        prepare_outside,
        lambda tree: in_place(outside(tree), "1.0", "2.0"),
    ),
    "a file outside of the metadata appears": (
        lambda tree: with_a_file(tree, str(outside(tree))),
        lambda tree: outside(tree).write_text("1.0", encoding="utf-8"),
    ),
    "a file above the metadata changes": (prepare_up, lambda tree: in_place(tree.root / "table.dat", "1.0", "2.0")),
    "a file that the metadata name goes": (prepare_up, lambda tree: (tree.root / "table.dat").unlink()),
    "a package has another version": (
        prepare_software,
        lambda tree: in_place(tree.root / "software/python/software-lock.json", "2.6.2", "2.6.3"),
    ),
    "a checkout is edited": (
        prepare_checkout,
        lambda tree: in_place(tree.root / "software/python/src/pygama/src/pygama/hit.py", "1", "2"),
    ),
    "a validity list appears": (
        lambda tree: tree.write("inputs/dataprod/overrides/hit/a.yaml", "V02160A: {operations: {a: {expression: b}}}"),
        lambda tree: tree.validity("dataprod/overrides/hit", {"valid_from": "20200101T000000Z", "apply": ["a.yaml"]}),
    ),
    "a file of the metadata is never in force": (
        lambda tree: None,
        lambda tree: tree.write("inputs/datasets/statuses/unused.yaml", "{}"),
    ),
    "the configuration changes": (
        lambda tree: None,
        lambda tree: tree.config.update(table_format={"raw": "ch{ch}/raw"}),
    ),
    "a variable of the environment changes": (
        lambda tree: tree.config["paths"].update(detector_db="$OF_THIS_TEST/detectors"),
        lambda tree: os.environ.update(OF_THIS_TEST="another"),
    ),
    "somebody asks for tiers on request": (
        lambda tree: None,
        lambda tree: (tree.root / "generated/tier/pht").mkdir(parents=True),
    ),
}


@pytest.mark.parametrize("change", PREPARED)
def test_it_is_not_used_where_anything_changes_that_it_was_made_from(
    empty: Tree, planned: list[Stamp | None], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setenv("OF_THIS_TEST", "one")
    prepare, act = PREPARED[change]
    made = empty
    made.metadata()
    made.daq(*KEYS, *PHY)
    prepare(made)
    produce(made)
    asked(made)
    planned.clear()
    before = asked(made)
    assert not planned
    act(made)
    found = asked(made)
    assert planned
    assert found != before
    (made.root / "generated/tmp/plan.jsonl").unlink(missing_ok=True)
    assert asked(made) == found


def test_runs_that_no_grouping_holds_are_told(made: Tree, planned: list[Stamp | None]) -> None:
    """What is said of jobs that nobody has asked for yet."""
    groupings = {"default": {"calgroup001a": {"p03": ["r000"]}}}
    made.write("inputs/datasets/cal_groupings.yaml", json.dumps(groupings))
    asked(made)
    planned.clear()
    found = asked(made)
    assert not planned
    assert [text for text in found["warnings"] if "no grouping in datasets/cal_groupings.yaml holds" in text]
    (made.root / "generated/tmp/plan.jsonl").unlink()
    assert asked(made) == found
    assert planned


def test_raw_files_of_truncated_daq_files_are_told(made: Tree, planned: list[Stamp | None]) -> None:
    made.config["settings"] = {"tier_raw": {"salvage": True}}
    for records in list(made.root.glob("generated/tier/*/*/*/*/.lineage")):
        shutil.rmtree(records.parent)
    produce(made)
    output = tier(made, "raw", PHY[1])
    (record(output)).write_text(json.dumps({"recipe": {}, "counts": {"salvaged": "breaks off"}}))
    asked(made)
    planned.clear()
    assert asked(made)["salvaged"] == {PHY[1]: "breaks off"}
    assert not planned


def test_a_damaged_file_is_no_harm(made: Tree, planned: list[Stamp | None]) -> None:
    found = asked(made)
    file = made.root / "generated/tmp/plan.jsonl"
    kept = file.read_bytes()
    places = range(0, len(kept), len(kept) // 7)
    flipped = [kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :] for place in places]
    for content in (
        b"",
        b"{",
        b"kept",
        b"\xff",
        kept[: len(kept) // 2],
        kept + b" ",
        kept.replace(b"\n", b""),
        *flipped,
    ):
        file.write_bytes(content)
        planned.clear()
        assert asked(made) == found
        assert planned
        assert file.read_bytes() == kept


def test_where_it_cannot_be_written_all_is_planned(made: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    found = asked(made)
    monkeypatch.setattr(keptplan, "write_whole", full)
    (made.root / "generated/tmp/plan.jsonl").unlink()
    assert asked(made) == found
    assert not (made.root / "generated/tmp/plan.jsonl").exists()


def said(tree: Tree) -> object:
    """What is answered, or refused."""
    try:
        return asked(tree)
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("part", ["dataprod", "dataprod/config", "datasets/statuses", "datasets/statuses/always.yaml"])
def test_what_is_moved_away_and_is_a_link_now(made: Tree, planned: list[Stamp | None], part: str) -> None:
    """The files are the same, and where they lie is not: the metadata may not lie elsewhere."""
    hit_config(made, '{"outputs": ["a"], "operations": {"a": {"expression": "b"}}}')
    asked(made)
    folder, there = made.root / "inputs" / part, made.root.parent / "there"
    folder.rename(there)
    folder.symlink_to(there)
    planned.clear()
    found = said(made)
    assert planned
    (made.root / "generated/tmp/plan.jsonl").unlink(missing_ok=True)
    assert said(made) == found


def test_folders_that_are_exchanged_while_it_is_planned(
    made: Tree, planned: list[Stamp | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made.root / "other"
    shutil.copytree(made.root / "inputs", other)
    in_place(other / "datasets/statuses/always.yaml", "usability: on", "usability: ac")
    stamp_of = keptplan.stamp_of

    def exchange() -> None:
        (made.root / "inputs").rename(made.root / "third")
        other.rename(made.root / "inputs")
        (made.root / "third").rename(other)

    def before(cycle: Any) -> Any:  # noqa: ANN401
        found = stamp_of(cycle)
        exchange()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(keptplan, "stamp_of", before)
        asked(made)
    assert not (made.root / "generated/tmp/plan.jsonl").exists()
    exchange()
    assert set(asked(made)["jobs"]) == {"there"}


@pytest.mark.parametrize("name", ["__pycache__", ".git"])
def test_files_in_folders_that_are_left_out(made: Tree, planned: list[Stamp | None], name: str) -> None:
    with_a_file(made, f"$_/{name}/table.dat")
    file = made.write(f"inputs/dataprod/config/{name}/table.dat", "1.0")
    asked(made)
    planned.clear()
    in_place(file, "1.0", "2.0")
    found = asked(made)
    assert planned
    (made.root / "generated/tmp/plan.jsonl").unlink()
    assert asked(made) == found


def test_links_in_a_circle_and_checkouts_that_are_nowhere(made: Tree, planned: list[Stamp | None]) -> None:
    """Nothing of it is used: it is no error, and at most the plan is not kept."""
    (made.root / "inputs/loop").symlink_to("loop")
    (made.root / "inputs/datasets/around").symlink_to(made.root / "inputs")
    (made.root / "inputs/nowhere").symlink_to("nowhere/else")
    found = asked(made)
    planned.clear()
    assert asked(made) == found
    assert not planned
    prepare_software(made, {"name": "notused"})
    found = asked(made)
    assert asked(made) == found


def test_keeping_it_asks_for_nothing_that_is_not_wanted(made: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an output that is not there would be made by is found out for keeping alone: it is no error if it cannot."""
    for folder in made.root.glob("generated/plt/hit/cal/*/*"):
        shutil.rmtree(folder)
    before = asked(made)
    wanted = Lineages.wanted

    def refusing(self: Lineages, step: str, unit: Any) -> str:  # noqa: ANN401
        if step == "plt_hit":
            raise UserError("there is no such file")
        return wanted(self, step, unit)

    monkeypatch.setattr(Lineages, "wanted", refusing)
    (made.root / "generated/tmp/plan.jsonl").unlink()
    assert asked(made) == before
    assert before["jobs"]["missing"]
    assert not (made.root / "generated/tmp/plan.jsonl").exists()


@pytest.mark.parametrize("act", [lambda file: file.write_text("2.0", encoding="utf-8"), lambda file: file.unlink()])
def test_what_changes_while_it_is_planned_is_not_kept(
    made: Tree, planned: list[Stamp | None], monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], object]
) -> None:
    """The plan holds for the file as it was, and the file is looked at when the plan is kept."""
    prepare_outside(made)
    write = keptplan.write

    def late(*arguments: Any) -> None:  # noqa: ANN401
        act(outside(made))
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(keptplan, "write", late)
        asked(made)
    planned.clear()
    asked(made)
    assert planned


def test_what_was_changed_just_now_is_not_kept(made: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second change within one tick of the clock could not be seen."""
    monkeypatch.setattr(keptplan, "RESTING", 3600)
    monkeypatch.setattr(keptplan, "RESTING_WHOLE_SECONDS", 3600)
    asked(made)
    assert not (made.root / "generated/tmp/plan.jsonl").exists()


def test_a_small_cycle_and_one_that_begins_with_raw_files_keep_none(
    made: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    daq(made, PHY[3]).unlink()
    asked(made)
    assert not (made.root / "generated/tmp/plan.jsonl").exists()
    made.daq(PHY[3])
    monkeypatch.setattr(batches, "MANY", 20_000)
    asked(made)
    assert not (made.root / "generated/tmp/plan.jsonl").exists()


EVENTS = {"open", "os.listdir", "os.scandir"}
NOT_METADATA = (sys.prefix, sys.base_prefix)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Paths of all files that are read and of all folders that are listed."""
    found: list[str] | None = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:  # cannot be taken away again
        if found is not None and event in EVENTS and isinstance(arguments[0], (str, os.PathLike)):
            found.append(os.path.abspath(arguments[0]))  # noqa: PTH100 - links stay as they were opened

    sys.addaudithook(hook)
    yield found
    found = None


def test_planning_reads_nothing_that_the_stamp_does_not_have(made: Tree, opened: list[str]) -> None:
    """Whoever lets planning read another file must let :mod:`dataflow.plan.keptplan` look at it."""
    for change in (
        "files are ignored",
        "another calibration holds from a time on",
        "parameters are overridden from a time on",
    ):
        CHANGES[change](made)
    prepare_outside(made)
    prepare_checkout(made)
    produce(made)
    textfile._read_once.cache_clear()  # noqa: SLF001 - what other tests have read is to be read again
    opened.clear()
    asked(made)
    cycle = open_cycle(made.root / "config.json")
    body = (made.root / "generated/tmp/plan.jsonl").read_bytes().partition(b"\n")[2]
    known = {*keptplan.watched(cycle), *json.loads(body)["named"]}
    software = {
        str(made.root / "software/python" / name) for name in ("software-lock.json", "install/software-lock.json")
    }
    others = [path for path in opened if path not in known | software and not path.startswith(NOT_METADATA)]
    mine = [
        path
        for path in others
        if not path.startswith((str(made.root / "generated"), str(made.root / "software/python/src")))
    ]
    assert mine == []
    assert str(outside(made)) in opened and str(made.root / "inputs/datasets/run_override.yaml") in opened
