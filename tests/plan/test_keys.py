"""Keys and key schemes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.keys.inventory import scan
from dataflow.keys.scheme import BUILTIN, L200, TESTSTAND, scheme_of
from dataflow.plan.targets import form

KEY = "l200-p03-r001-cal-20230317T211819Z"
STAND = "char_data-B00000B-th_HS2_top_psa-r001-20220118T150113Z"


def test_a_key_knows_its_fields() -> None:
    key = L200.key(KEY)
    assert str(key) == KEY
    assert key.fields == {
        "experiment": "l200",
        "period": "p03",
        "run": "r001",
        "datatype": "cal",
        "timestamp": "20230317T211819Z",
    }
    assert (key.timestamp, key.datatype, key["period"]) == ("20230317T211819Z", "cal", "p03")
    assert (key.series, key.run) == ("l200-p03-r001-cal", "l200-p03-r001")


def test_a_test_stand_key_has_measurements_with_underscores() -> None:
    key = TESTSTAND.key(STAND)
    assert (key["experiment"], key["detector"], key.datatype) == ("char_data", "B00000B", "th_HS2_top_psa")
    assert key.series == key.run == "char_data-B00000B-th_HS2_top_psa-r001"


def test_equal_keys_are_equal_and_sort_by_time() -> None:
    early, late = L200.key("l200-p03-r001-phy-20230317T211819Z"), L200.key("l200-p03-r000-cal-20230318T000000Z")
    assert early == L200.key(str(early)) and hash(early) == hash(L200.key(str(early)))
    assert sorted([late, early], key=lambda key: key.order) == [early, late]


@pytest.mark.parametrize(
    "wrong",
    [
        "l200-p3-r001-cal-20230317T211819Z",
        "l200-p03-r01-cal-20230317T211819Z",
        "l200-p03-r001-calib-20230317T211819Z",
        "l200-p03-r001-cal-20230317211819",
        "l200-p03-r001-cal-20230230T211819Z",
        "l200-p03-r001-cal",
        "",
        KEY + "-tier_raw",
        KEY + "\n",
    ],
)
def test_a_key_of_wrong_form_is_refused(wrong: str) -> None:
    assert L200.parse(wrong) is None
    with pytest.raises(UserError, match="is not a key experiment-period-run-datatype-timestamp"):
        L200.key(wrong)


def test_daq_files_of_a_test_stand_have_two_forms_of_names(tmp_path: Path) -> None:
    long = tmp_path / "B00000B/c1/th_HS2_top_psa/char_data-B00000B-th_HS2_top_psa-run0012-220118T150113.fcio"
    short = tmp_path / "B00000B" / f"{STAND}.fcio"
    for path in (long, short):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = scan(tmp_path, tmp_path / "raw", TESTSTAND).daq
    assert {str(key): path for key, path in found.items()} == {
        "char_data-B00000B-th_HS2_top_psa-r012-20220118T150113Z": long,
        STAND: short,
    }


@pytest.mark.parametrize("stem", ["char_data-B-m-run12-220118T150113", "char_data-B-m-run0012-221318T150113"])
def test_a_daq_name_of_another_form_is_no_key(stem: str) -> None:
    assert TESTSTAND.daq_key(stem) is None


def test_each_builtin_scheme_reads_its_own_example() -> None:
    for scheme in BUILTIN.values():
        assert scheme.parse(scheme.example) is not None


def test_a_setup_changes_parts_of_a_scheme() -> None:
    scheme = scheme_of({"scheme": "teststand", "calibration": ["th_first", "th_second"]})
    assert scheme.calibration == ("th_first", "th_second")
    assert scheme.key(STAND).datatype == "th_HS2_top_psa"


def test_a_setup_defines_a_scheme_of_its_own() -> None:
    scheme = scheme_of(
        {
            "fields": {"site": "[a-z]+", "source": r"\w+", "run": r"r\d{3}", "timestamp": r"\d{8}T\d{6}Z"},
            "category": "source",
            "directory": "{site}/{source}",
            "shared": ["site"],
            "runlist": ["source", "site", "run"],
            "calibration": ["th228"],
        }
    )
    key = scheme.key("lab-th228-r001-20220118T150113Z")
    assert (key.datatype, key["site"], key.series) == ("th228", "lab", "lab-th228-r001")


def test_the_examples_of_a_scheme_of_ones_own_fit_its_fields_and_names() -> None:
    scheme = scheme_of(
        {
            "fields": {
                "experiment": r"\w+",
                "period": r"P\d",
                "run": r"run-\d{4}",
                "datatype": "(?:cal|bkg)",
                "campaign": r"\w+",
                "timestamp": r"\d{8}T\d{6}Z",
            },
            "daq_names": ["{experiment}-{period}_{datatype}_{campaign}_{run:05d}_{timestamp:%y%m%dT%H%M%S}"],
            "examples": {"datatype": "bkg"},
        }
    )
    assert scheme.example == "l200-P1-run-0001-bkg-campaign-20230317T211819Z"
    assert scheme.daq_example == "l200-P1_bkg_campaign_00001_230317T211819"
    assert str(scheme.daq_key(scheme.daq_example)) == scheme.example
    assert str(scheme.daq_key("l200-P7_cal_x_00042_230317T211819")) == "l200-P7-run-0042-cal-x-20230317T211819Z"
    assert form(scheme).endswith("for example all-l200-P1-run-0001-bkg-campaign-hit.gen")
    there = [scheme.daq_key("l1000-P7_cal_x_00042_230317T211819")]
    assert form(scheme, there).endswith("for example all-l1000-P7-run-0042-cal-x-hit.gen")


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (r"[A-Z]\d+", "A1"),
        (r"[A-C]{2}\d", "AA1"),
        (r"(?:V|B)\d{5}[AB]?", "V11111A"),
        (r"a\.b", "a.b"),
        (r"c\d{1,3}", "c1"),
    ],
)
def test_an_example_is_made_from_the_expression_of_a_field(pattern: str, value: str) -> None:
    fields = {"crystal": pattern, "timestamp": r"\d{8}T\d{6}Z"}
    own = {"fields": fields, "category": "crystal", "directory": "{crystal}", "shared": [], "runlist": [], "run": []}
    scheme = scheme_of(own)
    assert scheme.example == f"{value}-20230317T211819Z"
    assert str(scheme.daq_key(scheme.daq_example)) == scheme.example


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("l2000", "did you mean 'l200'"),
        ({"scheme": "teststnad"}, "did you mean 'teststand'"),
        ({"calibrations": ["cal"]}, "did you mean 'calibration'"),
        ({"calibration": 3}, "list of texts"),
        ({"fields": {"experiment": "(", "timestamp": ".*"}}, "not a regular expression"),
        ({"fields": {"experiment": r"(\w)", "timestamp": ".*"}}, "has groups"),
        ({"fields": {"my lab": r"\w", "timestamp": ".*"}}, "fields: 'my lab' is no name of a field"),
        ({"fields": {"timestamp": ".*", "experiment": r"\w+"}}, "last field"),
        ({"fields": ["experiment"]}, "mapping"),
        ({"directory": "{perod}"}, "did you mean 'period'"),
        ({"category": "measurement"}, "no field 'measurement'"),
        ({"choice": "newest"}, "none of preferred, time"),
        ({"daq_names": ["{run:xd}"]}, "daq_names"),
        ({"daq_names": ["{experiment}-{run:04d}-{timestamp}"]}, "has no {period}, which every key has"),
        ({"daq_names": ["{key}-{timestamp:%H%M%S}"]}, "the time with %Y or %y, %m, %d"),
        ({"daq_names": ["{key}-{experiment:x}"]}, "a number is written as 04d"),
        (
            {
                "fields": {"experiment": r"(?!x)\w+y{3}", "timestamp": r"\d{8}T\d{6}Z"},
                "category": "experiment",
                "directory": "",
                "shared": [],
                "runlist": [],
            },
            "has no experiment, and none can be made up",
        ),
        (
            {
                "fields": {"experiment": r"[a-z]+", "timestamp": r"\d{8}T\d{6}Z"},
                "category": "experiment",
                "directory": "",
                "shared": [],
                "runlist": [],
                "daq_names": ["{experiment:03d}-{timestamp}"],
            },
            "has no number in it",
        ),
        ({"name": 3}, "must be text"),
        ({"examples": {"period": "r003"}}, r"keys.examples: 'r003' is not a valid period; its form is p\d{2}"),
        ({"examples": {"perod": "p03"}}, "did you mean 'period'"),
    ],
)
def test_a_wrong_scheme_is_refused_with_the_right_words(keys: str | dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        scheme_of(keys)
    assert message in str(caught.value)
