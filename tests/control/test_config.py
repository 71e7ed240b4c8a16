"""Reading a cycle's configuration file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.setup.config import read_config
from dataflow.setup.schema import OPTIONS, PATHS, TABLE_FORMAT, json_schema, spelled_out

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: Mapping[str, Any] | str, name: str = "config.json") -> Path:
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return file

    return to_file


def refused(file: Path, experiment: str | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        read_config(file, experiment)
    return caught.value


def test_the_collaborations_file_is_read(shared_data: Path) -> None:
    setup = read_config(shared_data / "lh5" / "prod-ref-l200" / "config.json")
    assert setup.experiment == "l200"
    assert setup.path("tier_dsp") == shared_data / "lh5/prod-ref-l200/generated/tier/dsp"
    assert setup.path("tier_daq") == setup.path("orig") == Path("/data1/shared/l60/l60-daq/daq-v01")
    assert setup.execenv.cmd == ("apptainer", "run")


def test_an_empty_setup_has_every_path_below_the_cycle(write: Write, tmp_path: Path) -> None:
    setup = read_config(write({"setups": {"l200": {}}}))
    assert set(setup.paths) == set(PATHS)
    assert all(path.is_relative_to(tmp_path) for path in setup.paths.values())
    assert setup.path("workflow") == setup.path("dataflow") == tmp_path / "dataflow"
    assert setup.table_format == TABLE_FORMAT
    assert (setup.keys, setup.failing_channels, setup.execenv.name) == ("l200", "record", "bare")


@pytest.mark.parametrize("character", ["{", "}", "[", "]", "*", "?", "$$"])
def test_a_path_with_a_character_of_patterns_is_refused_with_its_name(write: Write, character: str) -> None:
    error = refused(write({"paths": {"tier_hit": f"$_/generated/a{character}b"}}))
    assert f"has the character {character[0]!r} in it" in error.message and "paths.tier_hit" in error.message


def test_daq_files_may_lie_in_folders_with_brackets(write: Write, tmp_path: Path) -> None:
    setup = read_config(write({"paths": {"tier_daq": "$_/[2023]"}}))
    assert setup.path("tier_daq") == tmp_path / "[2023]"


@pytest.mark.parametrize("name", ["[ab]", "a*"])
def test_a_cycle_that_was_moved_to_such_a_place_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text("{}")
    with pytest.raises(UserError, match="has the character .* in it, which has a meaning in names of files") as caught:
        read_config(tmp_path / name / "config.json")
    assert "the path of the cycle" in caught.value.message and caught.value.hint.startswith("move the cycle")


def test_a_cycle_that_was_moved_to_a_place_with_a_colon_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="the path of the cycle has the character ':' in it"):
        read_config(folder / "config.json")


def test_paths_follow_the_path_they_are_part_of(write: Write) -> None:
    setup = read_config(write({"paths": {"tier": "/big/tier", "par_hit": "/other/hit", "inputs": "meta"}}))
    assert setup.path("tier_raw") == Path("/big/tier/raw")
    assert setup.path("par_hit") == Path("/other/hit")
    assert setup.path("config") == setup.directory / "meta/dataprod/config"


def test_yaml_and_the_flat_form_are_read(write: Write) -> None:
    text = 'experiment: hades\npaths:\n  metadata: "$_/metadata"\n  tier/raw: /storage/raw\n'
    setup = read_config(write(text, "dataflow-config.yaml"))
    assert setup.experiment == "hades"
    assert setup.path("inputs") == setup.directory / "metadata"
    assert setup.path("tier_raw") == Path("/storage/raw")


def test_variables_are_replaced(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE", "/st ore")
    setup = read_config(write({"paths": {"tier": "${STORAGE}/tier", "tier_daq": "$STORAGE/$$daq"}}))
    assert setup.path("tier_hit") == Path("/st ore/tier/hit")
    assert setup.path("tier_daq") == Path("/st ore/$daq")


def test_an_undefined_variable_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    error = refused(write({"paths": {"tier": "$NOWHERE/tier"}}))
    assert "paths.tier uses $NOWHERE, which is not set" in error.message
    assert "set NOWHERE" in error.hint


def test_an_undefined_variable_of_another_site_does_not_matter(write: Write) -> None:
    entries = {"bare": {}, "elsewhere": {"cmd": "shifter", "env": {"X": "$UNSET_ELSEWHERE"}}}
    assert read_config(write({"execenv": entries})).execenv.name == "bare"


@pytest.mark.parametrize(
    ("content", "typo", "right"),
    [
        ({"pahts": {}}, "'pahts'", "'paths'"),
        ({"setup": {}}, "'setup'", "'setups'"),
        ({"setups": {"l200": {"exec_env": {}}}}, "'exec_env'", "'execenv'"),
        ({"paths": {"teir_raw": "x"}}, "'paths.teir_raw'", "'tier_raw'"),
        ({"table_format": {"row": "x"}}, "'table_format.row'", "'raw'"),
        ({"execenv": {"cmd": "x", "args": "y"}}, "'execenv.args'", "'arg'"),
        ({"execenv": {"nersc": {"cmnd": "x"}}}, "'execenv.nersc.cmnd'", "'cmd'"),
        ({"multiproces_mode": "single"}, "'multiproces_mode'", "'multiprocess_mode'"),
    ],
)
def test_a_typo_is_refused_with_the_nearest_key(write: Write, content: dict[str, Any], typo: str, right: str) -> None:
    error = refused(write(content))
    assert f"unknown key {typo}" in error.message
    assert right in error.hint


def test_an_error_names_file_and_line(write: Write) -> None:
    file = write('{\n "setups": {\n  "l200": {\n   "path": {}\n}}}')
    assert refused(file).message.startswith(f"{file}:4: ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"paths": []}, "paths must be a mapping, not []"),
        ({"paths": {"tier": 3}}, "paths.tier must be a text, not 3"),
        ({"failing_channels": "ignore"}, "failing_channels is 'ignore'"),
        ({"evt_buffer_len": True}, "evt_buffer_len must be a whole number, not True"),
        ({"experiment": "l-200"}, "'l-200' must be letters"),
        ({"setups": {}}, "`setups` must hold"),
        ({"setups": {"l200": {}}, "paths": {}}, "unknown key 'paths' beside `setups`"),
        ({"paths": {"inputs": "a", "metadata": "b"}}, "paths.metadata differs from"),
        ({"execenv": {"cmd": ["a", 3]}}, "execenv.cmd must hold texts"),
        ([1], "the file must hold a mapping"),
    ],
)
def test_wrong_values_are_refused(write: Write, content: Any, sentence: str) -> None:
    assert sentence in refused(write(content)).message


def test_a_key_given_twice_is_refused(write: Write) -> None:
    assert "'paths' stands there twice" in refused(write('{"paths": {}, "paths": {}}')).message
    assert "'paths' stands there twice" in refused(write("paths: {}\npaths: {}\n", "c.yaml")).message


def test_broken_syntax_is_refused_with_its_line(write: Write) -> None:
    assert ":2: not valid JSON" in refused(write('{"paths":\n }')).message
    assert ":2: not valid YAML" in refused(write("paths: {\n]", "c.yaml")).message


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert "no configuration file" in refused(tmp_path / "config.json").message
    assert "is a folder" in refused(tmp_path).message


def test_yaml_never_builds_objects(write: Write) -> None:
    assert "not valid YAML" in refused(write("paths: !!python/object/apply:os.getcwd []\n", "c.yaml")).message


def test_the_setup_is_chosen_by_name(write: Write) -> None:
    file = write({"setups": {"hades": {}, "l1000": {}}})
    assert read_config(file, "l1000").experiment == "l1000"
    error = refused(file)
    assert "there is no setup 'l200'" in error.message
    assert error.hint == "there are: hades, l1000"


def test_the_system_is_chosen_by_the_file_or_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"lngs": {"cmd": "apptainer exec", "arg": "$_/i m.sif"}, "nersc": {"cmd": "shifter"}}
    file = write({"execenv": entries, "system": "lngs"})
    setup = read_config(file)
    assert setup.execenv.arg == (f"{setup.directory}/i", "m.sif")
    monkeypatch.setenv("PRODENV_SYSTEM", "nersc")
    assert read_config(file).execenv.cmd == ("shifter",)
    monkeypatch.setenv("PRODENV_SYSTEM", "gran-sasso")
    assert "there is no execenv 'gran-sasso'" in refused(file).message


def test_words_are_split_before_variables_bring_in_spaces(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGES", "/my images")
    setup = read_config(write({"execenv": {"cmd": "docker run --label 'a b'", "arg": "$IMAGES/x.sif -v"}}))
    assert setup.execenv.cmd == ("docker", "run", "--label", "a b")
    assert setup.execenv.arg == ("/my images/x.sif", "-v")


def test_every_key_of_the_published_dataflow_is_known(write: Write) -> None:
    published = (
        "legend_metadata_version auto_update_metadata allow_none_par build_file_dbs check_log_files multiprocess "
        "multiprocess_mode max_processes pht_intier evt_buffer_len XDG_CACHE_HOME system read_only_fs_sub_pattern "
        "paths table_format execenv"
    )
    assert set(published.split()) <= set(OPTIONS)


def test_the_defaults_written_out_are_the_defaults(write: Write) -> None:
    written = read_config(write({"paths": {name: spelled_out(name) for name in PATHS}}))
    assert written.paths == read_config(write({}, "empty.json")).paths


def test_the_schema_describes_what_is_read() -> None:
    flat: Mapping[str, Any] = json_schema()["anyOf"][1]
    assert set(flat["properties"]) == {*OPTIONS, "$schema"}
    assert set(PATHS) <= set(flat["properties"]["paths"]["properties"])
    assert flat["additionalProperties"] is False


def test_settings_of_a_step_that_there_is_not_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"setups": {"l200": {"settings": {"tier_dps": {"buffer_len": 10}}}}}')
    with pytest.raises(UserError, match="no step 'tier_dps'") as caught:
        read_config(config)
    assert "tier_dsp" in caught.value.hint
