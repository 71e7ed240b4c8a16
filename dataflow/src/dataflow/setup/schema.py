"""What may stand in a cycle's configuration file: one table, from which reading, defaults, errors and docs derive.

Nothing here reads a file; see :mod:`dataflow.setup.config` for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataflow.registry.steps import STEPS

PATHS: Mapping[str, tuple[str, str]] = {
    "dataflow": ("$_/dataflow", "the workflow of the cycle, yours to edit"),
    "inputs": ("$_/inputs", "the metadata (legend-metadata layout)"),
    "config": ("{inputs}/dataprod/config", "configuration of the steps, by validity"),
    "par_overwrite": ("{inputs}/dataprod/overrides", "hand-made parameters; merged last"),
    "chan_map": ("{inputs}/hardware/configuration", "channel maps, by validity"),
    "detector_status": ("{inputs}/datasets", "statuses, run lists, ignored files, groupings"),
    "detector_db": ("{inputs}/hardware/detectors", "the detectors themselves"),
    "orig": ("{tier_daq}", "older name of tier_daq"),
    "sandbox_path": ("$_/generated/tmp/sandbox", "where new DAQ files arrive before they are sorted"),
    "tier": ("$_/generated/tier", "all tiers"),
    "tier_daq": ("{tier}/daq", "files as the data acquisition wrote them"),
    "tier_raw_blind": ("{tier}/raw_blind", "blinded raw files"),
    "tier_raw": ("{tier}/raw", "waveforms and headers in LH5"),
    "tier_tcm": ("{tier}/tcm", "time coincidence maps"),
    "tier_dsp": ("{tier}/dsp", "quantities from the waveforms"),
    "tier_hit": ("{tier}/hit", "calibrated quantities by channel"),
    "tier_ann": ("{tier}/ann", "neural-network quantities"),
    "tier_evt": ("{tier}/evt", "events"),
    "tier_psp": ("{tier}/psp", "dsp with partition parameters"),
    "tier_pht": ("{tier}/pht", "hit with partition parameters"),
    "tier_pan": ("{tier}/pan", "ann with partition parameters"),
    "tier_pet": ("{tier}/pet", "evt with partition parameters"),
    "tier_skm": ("{tier}/skm", "events reduced for analysis"),
    "par": ("$_/generated/par", "all parameters"),
    "par_raw": ("{par}/raw", "parameters for raw"),
    "par_tcm": ("{par}/tcm", "parameters for tcm"),
    "par_dsp": ("{par}/dsp", "parameters for dsp"),
    "par_psp": ("{par}/psp", "parameters for psp"),
    "par_hit": ("{par}/hit", "parameters for hit"),
    "par_pht": ("{par}/pht", "parameters for pht"),
    "par_evt": ("{par}/evt", "parameters for evt"),
    "par_ecal": ("{par}/ecal", "accepted, no effect: releases up to v1.0.1 have it"),
    "par_pet": ("{par}/pet", "parameters for pet"),
    "plt": ("$_/generated/plt", "figures"),
    "log": ("$_/generated/log", "reports"),
    "tmp": ("$_/generated/tmp", "what may be deleted between runs"),
    "tmp_plt": ("{tmp}/plt", "figures of single steps"),
    "tmp_log": ("{tmp}/log", "logs of jobs"),
    "tmp_par": ("{tmp}/par", "parameters of single steps"),
    "tmp_filelists": ("{tmp}/filelists", "lists of files of a target"),
    "tmp_benchmark": ("{tmp}/benchmark", "time and memory of jobs"),
    "src": ("$_/software/python/src", "checkouts that take the place of released packages"),
    "install": ("$_/software/python/install", "the virtual environment of the cycle"),
    "cache": ("$_/software/python/cache", "accepted, no effect: all cycles share $PRODENV/tools/cache"),
}
"""Every known path: its default (``{name}`` is another path, ``$_`` the folder of the file) and what is there."""

PATH_ALIASES: Mapping[str, str] = {"workflow": "dataflow", "metadata": "inputs"}
"""Names of the same thing in other generations of the collaboration's configuration."""

TABLE_FORMAT: Mapping[str, str] = {
    "raw": "ch{ch:07d}/raw",
    "dsp": "ch{ch:07d}/dsp",
    "psp": "ch{ch:07d}/dsp",
    "ann": "ch{ch:07d}/dsp",
    "pan": "ch{ch:07d}/dsp",
    "hit": "ch{ch:07d}/hit",
    "pht": "ch{ch:07d}/hit",
    "tcm": "hardware_tcm_1",
    "evt": "{grp}/evt",
    "pet": "{grp}/evt",
    "skm": "{grp}/skm",
}
"""The LH5 table of each tier; ``{ch}`` is the raw id of the channel, ``{grp}`` the group of the event tier."""


@dataclass(frozen=True)
class Option:
    """One key of the configuration.

    Parameters
    ----------
    types
        What the value may be.
    default
        The value where the key is absent.
    help
        One line for the documentation.
    choices
        The words allowed, where they are few.
    effective
        ``False`` for keys that are accepted because the collaboration's files have them, and do nothing here.
    least
        The least value of a number; 0 itself is too small.
    """

    types: tuple[type, ...]
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    effective: bool = True
    least: int | None = None


LIMIT = Option((int, float), None, "seconds after which a channel, or the job in one piece, has failed", least=0)
ALIASES = Option((bool,), True, "add the names of detectors as hard links, raw/V07302A and V07302A/raw")
SETTINGS: Mapping[str, Mapping[str, Option]] = {
    "tier_raw": {
        "buffer_size": Option((int,), None, "rows that are decoded at a time", least=1),
        "n_max": Option((int, float), None, "rows after which decoding ends", least=1),
        "hdf5_settings": Option((dict,), None, "compression and filters of the datasets"),
        "compass_config_file": Option((str,), None, "settings file of a CoMPASS data acquisition"),
        "db_dict": Option((dict,), None, "values for `db.NAME` in the processing of a table, by table"),
        "salvage": Option((bool,), None, "take what is whole of a DAQ file that breaks off; the file is marked"),
        "aliases": ALIASES,
    },
    "tier_dsp": {
        "buffer_len": Option((int,), None, "rows in memory", least=1),
        "block_width": Option((int,), None, "rows that are processed at a time", least=1),
        "aliases": ALIASES,
    },
    "tier_hit": {"aliases": ALIASES},
    "tier_pht": {"aliases": ALIASES},
    "tier_evt": {"buffer_len": Option((int,), None, "events in memory", least=1)},
}
"""What `settings` may tune of a step, beside its ``timeout``."""


def settings_of(step: str) -> Mapping[str, Option]:
    """What may stand in the settings of a step."""
    return {**SETTINGS.get(step, {}), "timeout": LIMIT}


OPTIONS: Mapping[str, Option] = {
    "experiment": Option((str,), "l200", "name of the setup, in a file without `setups`"),
    "paths": Option((dict,), {}, "where things are; see the table of paths"),
    "execenv": Option((dict,), {}, "how commands are run: bare, or a container engine; one entry, or several by name"),
    "system": Option((str,), "", "which entry of execenv is used ($PRODENV_SYSTEM takes precedence over it)"),
    "table_format": Option((dict,), {}, "LH5 table name of each tier"),
    "pkg_versions": Option((dict,), {}, "versions of packages that differ from the locked ones"),
    "python": Option((str,), "", "interpreter of the software: a path, or a version that is here, as `3.12`"),
    "keys": Option((str, dict), "l200", "scheme of the file names: l200, teststand, or a mapping of your own"),
    "failing_channels": Option((str,), "record", "what a failing channel does to its job", ("record", "fail")),
    "settings": Option((dict,), {}, "tuning by step, such as tier_dsp: {buffer_len: 1000}"),
    "evt_buffer_len": Option(
        (int,), 1000000, "events at a time in evt; settings.tier_evt.buffer_len takes precedence over it"
    ),
    "compiled_chains": Option(
        (bool,), True, "signal processors in compiled forms; false: dspeed's own, equal but for the last digits"
    ),
    "fast_tiers": Option(
        (bool,), True, "tcm, hit and files of numbers by whole columns; false: by the libraries' own functions, equal"
    ),
    "forked_jobs": Option(
        (bool,), True, "jobs on this machine are forked from one process with everything loaded; false: started anew"
    ),
    "read_only_fs_sub_pattern": Option(
        (list,), [], "[pattern, replacement] that turns input paths into read-only ones", effective=False
    ),
    "dataset": Option((str,), "", "name of a run list for readers of the files", effective=False),
    "pht_intier": Option((str,), "psp", "what pht is made of", ("psp", "dsp"), effective=False),
    "allow_none_par": Option((bool,), False, "go on without parameter files"),
    "legend_metadata_version": Option(
        (str,), "", "a cycle's metadata is its own git repository: check it out there", effective=False
    ),
    "auto_update_metadata": Option((bool,), False, "metadata never changes by itself here", effective=False),
    "build_file_dbs": Option((bool,), True, "whether file databases are made", effective=False),
    "check_log_files": Option((bool,), True, "a failing job fails the run in any case", effective=False),
    "multiprocess": Option((bool,), True, "jobs always use the threads they are given", effective=False),
    "multiprocess_mode": Option((str,), "max_usage", "see multiprocess", ("max_usage", "single"), effective=False),
    "mutliprocess_mode": Option((str,), "", "as releases up to v2.2.2 spell multiprocess_mode", effective=False),
    "hades_metadata_version": Option((str,), "", "see legend_metadata_version", effective=False),
    "max_processes": Option((int,), 0, "see multiprocess", effective=False),
    "XDG_CACHE_HOME": Option((str,), "", "set it in the env of execenv where it is needed", effective=False),
}
"""Every key of a setup."""

EXECENV: Mapping[str, Option] = {
    "cmd": Option((str, list), [], "the engine and its subcommand, such as `apptainer run`; empty: bare"),
    "arg": Option((str, list), [], "what follows the options, as a rule the image"),
    "env": Option((dict,), {}, "environment variables of commands"),
    "bind": Option((str, list), [], "folders to mount: `path`, `path:target` or `path:target:ro`"),
}
"""Every key of one execution environment."""


def spelled_out(name: str) -> str:
    """The default of path `name` as a user would write it, for example ``$_/generated/tier/raw``."""
    template = PATHS[name][0]
    if not template.startswith("{"):
        return template
    parent, rest = template[1:].split("}")
    return spelled_out(parent) + rest


def _property(option: Option) -> dict[str, Any]:
    names = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}
    types = [names[kind] for kind in option.types]
    note = "" if option.effective else " (accepted, no effect)"
    schema: dict[str, Any] = {"description": option.help + note}
    if option.default is not None:
        schema["default"] = option.default
    if option.least is not None:
        schema |= {"minimum": option.least} if option.least else {"exclusiveMinimum": 0}
    schema["type"] = types[0] if len(types) == 1 else types
    return schema | ({"enum": list(option.choices)} if option.choices else {})


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a configuration file in either form."""
    entry = _closed({key: _property(option) for key, option in EXECENV.items()})
    properties = {key: _property(option) for key, option in OPTIONS.items()}
    paths = {
        name: {"type": "string", "description": text, "default": spelled_out(name)} for name, (_, text) in PATHS.items()
    }
    aliases = {name: {"type": "string", "description": f"the same as {real}"} for name, real in PATH_ALIASES.items()}
    properties["paths"] = _closed(paths | aliases) | {"description": OPTIONS["paths"].help}
    properties["table_format"] = _closed({t: {"type": "string", "default": d} for t, d in TABLE_FORMAT.items()})
    tuned = {step.name: _closed({key: _property(o) for key, o in settings_of(step.name).items()}) for step in STEPS}
    properties["settings"] = _closed(tuned) | {"description": OPTIONS["settings"].help}
    named = {"type": "object", "additionalProperties": entry}
    properties["execenv"] = {"description": OPTIONS["execenv"].help, "anyOf": [entry, named]}
    editor = {"$schema": {"type": "string", "description": "for editors; nothing else reads it"}}
    setup = _closed(properties)
    wrapped = _closed(editor | {"setups": {"type": "object", "additionalProperties": setup, "minProperties": 1}})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of a production cycle",
        "anyOf": [wrapped | {"required": ["setups"]}, _closed(editor | properties)],
    }
