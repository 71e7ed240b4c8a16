"""Detectors that failed or are missing are told by every verb that looks at a cycle, with the first cause."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dataflow.plan.troubles import Trouble, counted, sentences
from dataflow.provenance.recipe import digest
from dataflow.provenance.records import notes_file

from .conftest import KEYS, place

if TYPE_CHECKING:
    from ..plan.conftest import Tree
    from .conftest import Box

CAL = KEYS[0]
REASON = "12 clean tails are too few for a decay constant, 20 are needed"
FAILURE = {"state": "failed", "step": "par_dsp_pz", "reason": REASON}
ABSENT = {"state": "missing", "step": "tier_raw", "reason": "the DAQ file has no channel 1104001"}
SENTENCE = f"V02160A failed in par_dsp_pz: {REASON} [l200-p03-r000-cal: tier_dsp, tier_hit, par_dsp]"
MISSING = "V02160B is missing: the DAQ file has no channel 1104001 [l200-p03-r000-cal: tier_raw, tier_dsp, tier_hit]"


def noted(tree: Tree, kind: str, tier: str, content: dict[str, Any], suffix: str = ".lh5") -> None:
    """Write the notes of an output, as its job would."""
    file = notes_file(place(tree, kind, tier, CAL, suffix), digest(content))
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))


def cycle_with_notes(box: Box) -> Tree:
    tree = box.cycle()
    lacking = {"channels": {"V02160B": ABSENT}}
    both = {"channels": {"V02160A": FAILURE | {"state": "degraded"}, "V02160B": ABSENT}}
    noted(tree, "tier", "raw", lacking)
    noted(tree, "par", "dsp", {"channels": {"V02160A": FAILURE}}, ".yaml")
    noted(tree, "tier", "dsp", both)
    noted(tree, "tier", "hit", both | {"warnings": {"V02160A": ["the curve misses its points"]}})
    return tree


def test_every_verb_names_failed_and_missing_detectors_with_the_cause(box: Box) -> None:
    tree = cycle_with_notes(box)
    status = box.ok("status", tree.root)
    assert f"error: {SENTENCE}" in status
    assert f"error: {MISSING}" in status
    assert "warning: V02160A in tier_hit: the curve misses its points" in status
    document = box.json("status", tree.root)["detectors"]
    assert [(d["detector"], d["state"], d["files"]) for d in document] == [
        ("V02160A", "failed", 3),
        ("V02160B", "missing", 3),
        ("V02160A", "warning", 1),
    ]
    assert box.json("show", tree.root)["detectors"] == document
    assert SENTENCE in box.ok("show", tree.root)
    found = json.loads(box.dataprod("doctor", tree.root, "--json").stdout)["findings"]
    assert [f["what"] for f in found if f["area"] == "detectors"][:2] == [SENTENCE, MISSING]
    assert ["clean" in f["fix"] for f in found if f["area"] == "detectors"] == [True, True, False]
    verified = box.dataprod("verify", tree.root, "--quick")
    assert SENTENCE in verified.stdout
    assert "all is well" not in verified.stdout
    reason = json.loads(box.ok("why", tree.root, place(tree, "tier", "hit", CAL), "--json"))
    assert [d["detector"] for d in reason["detectors"]] == ["V02160B", "V02160A", "V02160A"]
    assert f"V02160A is degraded by par_dsp_pz: {REASON}" in box.ok("why", tree.root, place(tree, "tier", "hit", CAL))


def test_clean_finds_the_files_of_failed_detectors_and_leaves_those_that_would_come_out_the_same(box: Box) -> None:
    tree = cycle_with_notes(box)
    found = box.json("clean", tree.root, "--failed", "--dry-run")
    assert sorted(each["kind"] for each in found["files"]) == ["dsp", "hit", "par_dsp"]
    (note,) = found["notes"]
    assert note.startswith("1 files stay that lack only detectors which their DAQ files do not have")
    box.ok("clean", tree.root, "--failed", "--yes")
    assert not list((tree.root / "generated/tier/dsp").rglob("*.notes.json"))
    assert len(list((tree.root / "generated/tier/raw").rglob("*.notes.json"))) == 1


def trouble(detector: str, state: str) -> Trouble:
    return Trouble(detector, state, "tier_dsp", "why", "", ("tier_dsp",), ("r000",), 1)


def test_many_are_told_in_few_lines_and_counted_once() -> None:
    found = [trouble(f"V{number:02d}", "failed") for number in range(12)]
    lines = list(sentences(found, "look there"))
    assert len(lines) == 11
    assert lines[-1] == "and 2 more: look there"
    several = [
        trouble("V01", "failed"),
        trouble("V01", "degraded"),
        trouble("V02", "missing"),
        trouble("V03", "missing"),
    ]
    assert counted(several) == "1 detector failed, 2 detectors missing"
    assert counted([]) == ""


def test_what_is_said_of_a_whole_file_is_not_counted_as_one_detector() -> None:
    found = [trouble("", "warning"), trouble("V01", "warning"), trouble("V02", "failed")]
    assert counted(found) == "1 detector failed, all detectors with warnings"
    assert "all detectors in tier_dsp" in found[0].sentence()
