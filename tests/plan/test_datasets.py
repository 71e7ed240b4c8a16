"""Run lists, ignored files, run overrides, groupings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dataflow.base.errors import UserError
from dataflow.metadata.datasets import runs_of

from .conftest import KEYS, Tree


@pytest.mark.parametrize(
    ("spec", "runs"),
    [
        ("r000..r002", ("r000", "r001", "r002")),
        ("r007", ("r007",)),
        (["r001", "r003..r004", "r001"], ("r001", "r003", "r004")),
        ("all", None),
        ([], ()),
    ],
)
def test_runs_are_ranges_lists_or_all(spec: object, runs: object) -> None:
    assert runs_of(spec) == runs


@pytest.mark.parametrize(
    "spec", ["r002..r000", "r000..p003", "000", "r000...r002", "r000-r002", 3, None, [3], {"a": 1}]
)
def test_other_runs_are_refused(spec: object) -> None:
    with pytest.raises(ValueError, match="r000..r005"):
        runs_of(spec)


def test_the_collaborations_datasets_are_read(shared_data: Path, empty: Tree) -> None:
    shutil.copytree(shared_data / "legend/metadata/datasets", empty.root / "inputs/datasets")
    datasets = empty.open().metadata.datasets
    assert len(datasets.ignored) == 3
    assert datasets.runlists["valid"]["cal"]["p03"] == tuple(f"r{n:03d}" for n in range(6))
    assert datasets.cal_groupings
    assert datasets.runinfo["p03"]["r001"]["cal"]["start_key"] == "20230317T211819Z"


def test_ignored_files_are_as_if_they_were_not_there(tree: Tree) -> None:
    tree.write(
        "inputs/datasets/ignored_daq_cycles.yaml", f"unprocessable:\n  - {KEYS[0]} # empty\nremoved:\n  - {KEYS[2]}\n"
    )
    tree.write("inputs/datasets/ignored_daq_cycles.keylist", f"# old form\n{KEYS[3]} # noisy\n\n")
    cycle = tree.open()
    assert [str(key) for key in cycle.keys] == sorted(
        (key for key in KEYS if key not in (KEYS[0], KEYS[2], KEYS[3])), key=lambda key: key[-16:]
    )
    assert cycle.validity("dsp")[0]["valid_from"] == "20230312T005840Z", "parameters begin with the first file left"
    with pytest.raises(UserError, match="ignored"):
        cycle.job("tier_raw", KEYS[0])


def test_a_wrong_ignored_key_is_named_with_file_and_line(tree: Tree) -> None:
    tree.write("inputs/datasets/ignored_daq_cycles.yaml", "unprocessable:\n  - l200-p03-r000-cal\n")
    with pytest.raises(UserError, match=r"ignored_daq_cycles\.yaml:2: 'l200-p03-r000-cal' is not a key"):
        _ = tree.open().keys
    tree.write("inputs/datasets/ignored_daq_cycles.yaml", "unprocesable: []\n")
    with pytest.raises(UserError, match=r"ignored_daq_cycles\.yaml:1: unknown section 'unprocesable'"):
        _ = tree.open().keys
    tree.write("inputs/datasets/ignored_daq_cycles.yaml", "removed: all\n")
    with pytest.raises(UserError, match=r"ignored_daq_cycles\.yaml:1: a list of keys"):
        _ = tree.open().keys


def test_a_wrong_line_of_the_old_list_is_named(tree: Tree) -> None:
    tree.write("inputs/datasets/ignored_daq_cycles.keylist", "# x\nl200\n")
    with pytest.raises(UserError, match=r"ignored_daq_cycles\.keylist:2: 'l200' is not a key"):
        _ = tree.open().keys


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("valid:\n  cal:\n    p03: r5..r000\n", "runlists.yaml:3: 'r5..r000' is neither a run"),
        ("valid:\n  cal: [p03]\n", "runlists.yaml:2: valid.cal must be a mapping, not a list"),
        ("valid: 3\n", "runlists.yaml:1: valid must be a mapping"),
    ],
)
def test_a_wrong_run_list_is_named_with_file_and_line(tree: Tree, text: str, message: str) -> None:
    tree.write("inputs/datasets/runlists.yaml", text)
    with pytest.raises(UserError) as caught:
        tree.open().metadata.datasets.runlist("valid")
    assert message in str(caught.value)


def test_groupings_are_validated(tree: Tree) -> None:
    tree.write("inputs/datasets/cal_groupings.yaml", "default:\n  calgroup001a:\n    p03: r000..r001\n    p04: all\n")
    grouping = tree.open().metadata.datasets.cal_groupings
    assert grouping == {"default": {"calgroup001a": {"p03": ("r000", "r001"), "p04": None}}}
    tree.write("inputs/datasets/cal_groupings.yaml", "default:\n  calgroup001a:\n    p03: 17\n")
    with pytest.raises(UserError, match=r"cal_groupings\.yaml:3: runs are"):
        _ = tree.open().metadata.datasets.cal_groupings


def test_a_wrong_begin_in_the_run_information_is_named(tree: Tree) -> None:
    tree.write("inputs/datasets/runinfo.yaml", "p03:\n  r000:\n    cal:\n      start_key: yesterday\n")
    with pytest.raises(UserError, match=r"runinfo\.yaml:4: start_key must be a time"):
        _ = tree.open().metadata.datasets.runinfo


def test_a_wrong_key_in_a_run_override_is_named(tree: Tree) -> None:
    tree.write("inputs/datasets/run_override.yaml", "- valid_from: 20230312T000000Z\n  apply: [r000]\n")
    with pytest.raises(UserError, match=r"run_override\.yaml:1: 'r000' is not a key"):
        _ = tree.open().catalog
