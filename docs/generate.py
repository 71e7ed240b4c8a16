"""Writes the generated parts of the documentation, between the marks ``<!-- generated: NAME -->`` and ``<!-- end -->``.

``make docs`` runs it. With ``--check`` it changes nothing, and ends with exit code 3 where a file is out of date. The
JSON Schemas and the pages of the steps are generated as a whole. What it writes
comes from the places that the program itself reads: the parsers, the table of the configuration, the registry
of steps, the key schemes, and the defaults that are shipped.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FLOW = ROOT / "dataflow" / "src" / "dataflow"
for _source in ("prodenv/src", "dataflow/src", "demo/src"):
    sys.path.insert(0, str(ROOT / _source))

from dataflow.checks.jsonschemas import documents as json_schemas  # noqa: E402
from dataflow.keys.daqforms import all_forms  # noqa: E402
from dataflow.keys.scheme import BUILTIN, KeyScheme  # noqa: E402
from dataflow.metadata.schemas import SECTIONS, configured_inputs, documented_rules, schema  # noqa: E402
from dataflow.metadata.settings import StepSettings  # noqa: E402
from dataflow.metadata.stepconfig import OTHER_RULES, known_rules, shipped_files, shipped_folder  # noqa: E402
from dataflow.plan.paths import Paths  # noqa: E402
from dataflow.registry.step import PROCESSED, Scope, Step  # noqa: E402
from dataflow.registry.steps import STEPS, calibrated_tiers, inputs_of  # noqa: E402
from dataflow.setup import schema as config_schema  # noqa: E402
from dataflow.setup.config import Setup, read_config  # noqa: E402
from dataflow.setup.execenv import ENGINES  # noqa: E402
from prodenv.cli.parsers import COMMANDS, VARIABLES, Command  # noqa: E402

BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
OUT_OF_DATE = 3
GROUP = "___"
STEP_PAGES = "steps"


# writing ------------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def code(value: object) -> str:
    """A text as code; nothing for an empty one."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`" if text else ""


def codes(values: Iterable[object]) -> str:
    """Several texts as code."""
    return ", ".join(code(value) for value in values)


# commands -----------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command of the production environment with its options."""
    return "\n".join(_command(name_of(command), command.parser()) for command in COMMANDS.values())


def name_of(command: Command) -> str:
    """How a command is called: by a file of its own in ``bin/``, or as a verb of ``dataprod``."""
    return command.name if (ROOT / "bin" / command.name).is_file() else f"dataprod {command.verb}"


def simulator() -> str:
    """The commands of the simulated experiment."""
    from gebox.cli import parser

    return _command("python -m gebox", parser())


def _command(name: str, parser: argparse.ArgumentParser, level: int = 3) -> str:
    parts = [f"{'#' * level} {name}\n", f"{parser.description}.\n" if parser.description else ""]
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    inner = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    plain = [action for action in actions if action not in inner]
    parts.append(f"```\n{' '.join([name, *map(_usage, plain), *('COMMAND …' for _ in inner)])}\n```\n")
    if plain:
        parts.append(table(["argument", "default", "meaning"], map(_argument, plain)))
    return "\n".join([part.replace("..\n", ".\n") for part in parts if part] + [_inner(name, one) for one in inner])


def _inner(name: str, action: argparse._SubParsersAction[Any]) -> str:
    helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
    made = []
    for verb, parser in action.choices.items():
        text = parser.description or helps.get(verb, "")
        parser.description = text[:1].upper() + text[1:]
        made.append(_command(f"{name} {verb}", parser, level=4))
    return "\n".join(made)


def _usage(action: argparse.Action) -> str:
    if action.option_strings:
        text = f"{action.option_strings[0]}{_value(action)}"
        return text if action.required else f"[{text}]"
    name = _metavar(action)
    return {"?": f"[{name}]", "*": f"[{name} …]", "+": f"{name} …", "...": f"[{name} …]"}.get(str(action.nargs), name)


def _metavar(action: argparse.Action) -> str:
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    return name.upper() if action.option_strings else name


def _value(action: argparse.Action) -> str:
    return "" if action.nargs == 0 else f" {_metavar(action)}"


def _argument(action: argparse.Action) -> list[str]:
    names = [f"{name}{_value(action)}" for name in action.option_strings] or [_metavar(action)]
    unset = action.default in (None, "", False, argparse.SUPPRESS) or action.default == [] or action.nargs == 0
    default = "" if unset else code(str(action.default))
    text = re.sub(r"\s*\(default: [^()]*\)$", "", action.help or "") if default else action.help or ""
    return [codes(names), default, text]


def variables() -> str:
    """The environment variables."""
    return table(["variable", "meaning"], [[code(name), text] for name, text in VARIABLES.items()])


# configuration ------------------------------------------------------------------------------------------------------

TYPES = {str: "text", int: "number", bool: "true/false", dict: "mapping", list: "list"}


def options() -> str:
    """Every key of a setup."""
    return table(["key", "form", "default", "meaning"], _options(config_schema.OPTIONS, effective=True))


def ignored_options() -> str:
    """Keys that are accepted and do nothing."""
    return table(
        ["key", "form", "default", "why it does nothing here"], _options(config_schema.OPTIONS, effective=False)
    )


def execenv() -> str:
    """Every key of an execution environment."""
    known = f"Engines: {codes(sorted(ENGINES))}; any other command is put in front of the jobs' commands as it is.\n"
    return table(["key", "form", "default", "meaning"], _options(config_schema.EXECENV, effective=True)) + "\n" + known


def _options(entries: Mapping[str, config_schema.Option], *, effective: bool) -> Iterator[list[str]]:
    for name, option in entries.items():
        if option.effective == effective:
            form = " or ".join(TYPES[kind] for kind in option.types)
            form += f": {', '.join(option.choices)}" if option.choices else ""
            yield [code(name), form, code(option.default), option.help]


def paths() -> str:
    """Every path with its default."""
    rows = [
        [code(name), code(config_schema.spelled_out(name)), text] for name, (_, text) in config_schema.PATHS.items()
    ]
    aliases = [f"{code(name)} for {code(real)}" for name, real in config_schema.PATH_ALIASES.items()]
    return table(["path", "default", "what is there"], rows) + f"\nOther names: {', '.join(aliases)}.\n"


def table_format() -> str:
    """The LH5 table of each tier."""
    return table(["tier", "table"], [[code(tier), code(form)] for tier, form in config_schema.TABLE_FORMAT.items()])


def schemes() -> str:
    """The entries of key schemes, with those that are built in."""
    meanings = attributes_of(FLOW / "keys" / "scheme.py", "KeyScheme")
    builtin = list(BUILTIN.values())
    rows = [[code(n), text, *(code(_shown(getattr(s, n))) for s in builtin)] for n, text in meanings.items()]
    return table(["entry", "meaning", *(f"`{scheme.name}`" for scheme in builtin)], rows)


def _shown(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return {name: _shown(item) for name, item in value.items()}
    return "" if value is None else value


def daq_forms() -> str:
    """The forms of DAQ files that are known without further packages."""
    rows = [[codes(form.endings), form.doc, code(f"tier_raw_{form.name}")] for form in all_forms()]
    return table(["ending", "written by", "rule"], rows)


def rules() -> str:
    """The rules that a step reads."""
    own = {step.rule.format(daq=form.name): step for step in STEPS if step.rule for form in all_forms()}
    rows = [[code(rule), code(step.name), codes(step.configs), _shipped(rule)] for rule, step in sorted(own.items())]
    return table(["rule", "step", "inputs", "defaults that are shipped"], rows)


def other_rules() -> str:
    """The rules that are accepted and read by no step yet."""
    unread = {rule: inputs for rule, inputs in known_rules().items() if rule in OTHER_RULES}
    read = {step.rule for step in STEPS}
    return table(["rule", "inputs"], [[code(r), codes(i)] for r, i in sorted(unread.items()) if r not in read])


def _shipped(rule: str) -> str:
    folder = shipped_folder(rule)
    return ", ".join(code(path.name) for path in sorted(folder.glob("*"))) if folder.is_dir() else ""


def settings() -> str:
    """What the settings of each rule may hold, with what is shipped, or what the code takes without it."""
    made = []
    for rule in documented_rules():
        for name, kind in _flat(rule):
            shipped = {key: value for path in shipped_files(rule, name) for key, value in _read(path).items()}
            rows = [
                [
                    code(entry),
                    _default(shipped.get(entry, _built_in(field)), name),
                    kind.meanings()[entry].replace("``", "`"),
                ]
                for entry, field in zip(kind.entries(), kind.model_fields.values(), strict=True)
            ]
            made.append(f"`{name}` of `{rule}`\n\n" + table(["entry", "default", "meaning"], rows))
    return "\n".join(made)


LONGEST_DEFAULT = 160
"""Characters of a default that a cell of a table may have."""


def _default(value: object, name: str) -> str:
    """A default in a table; of a long one, the file that it is in."""
    text = code(_shown(value))
    return text if len(text) <= LONGEST_DEFAULT or not isinstance(value, Mapping) else f"as in {code(f'{name}.yaml')}"


def _flat(rule: str) -> Iterator[tuple[str, type[StepSettings]]]:
    """The configurations that are a list of entries; those with operations and processors are described in words."""
    for name in configured_inputs(rule):
        kind = schema(rule, name)
        if kind is not None and kind.EXTRA is None and name not in SECTIONS:
            yield name, kind


def _built_in(field: Any) -> object:
    value = "" if field.is_required() else field.get_default(call_default_factory=True)
    return value.model_dump(exclude_defaults=True) if isinstance(value, StepSettings) else value


def unused_settings() -> str:
    """Entries of the published flow that are accepted, and what is done instead."""
    rows = []
    for rule in documented_rules():
        for name in configured_inputs(rule):
            kind = schema(rule, name)
            for entry, instead in sorted(kind.NOT_USED_HERE.items()) if kind else ():
                rows.append([code(rule), code(name), code(entry), instead])
    return table(["rule", "input", "entry", "here"], rows)


def attributes_of(file: Path, name: str) -> dict[str, str]:
    """Names and texts of the ``Attributes`` section of a class's docstring; the file is read, not imported."""
    lines = (ast.get_docstring(_class(file, name)) or "").partition("----\n")[2].splitlines()
    found: dict[str, str] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith(" "):
            found = {key: f"{text} {line.strip()}".strip() if key in current else text for key, text in found.items()}
        elif line.strip("- "):
            current = [part.strip() for part in line.split(",")]
            found |= dict.fromkeys(current, "")
    return {key: text.replace("``", "`") for key, text in found.items()}


def _class(file: Path, name: str) -> ast.ClassDef:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


# steps and files ----------------------------------------------------------------------------------------------------


def steps() -> str:
    """The registry of steps."""
    return table(["step", "from", "one job for each", "channels", "what it does"], map(_step, STEPS))


def _step(step: Step) -> list[str]:
    each = f"calibration {step.scope}" if step.is_of_calibration and step.scope is Scope.RUN else str(step.scope)
    if not step.merged:
        each = f"{step.scope} ({', '.join(step.datatypes)})"
    systems, named = step.channels.systems, step.channels.if_configured
    listed = ", ".join(systems) + (f" ({', '.join(named)} where configured by name)" if named else "")
    return [
        f"[{code(step.name)}]({STEP_PAGES}/{_folder(step)}.md)",
        codes(wanted.of for wanted in inputs_of(step)),
        each,
        listed or ("" if step.kind == "validity" else "all"),
        step.doc,
    ]


def _folder(step: Step) -> str:
    """The folder of a step's code, which twins share."""
    return step.module.split(".")[1]


def step_pages() -> dict[Path, str]:
    """A page for each folder with steps: its README, and what the registry says of these steps."""
    folders = sorted({_folder(step) for step in STEPS})
    return {DOCS / STEP_PAGES / f"{folder}.md": _page(folder) for folder in folders}


def _page(folder: str) -> str:
    text = (FLOW / "steps" / folder / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"`docs/([\w-]+\.md)`", r"[\1](../\1)", text)
    rows = [_facts(step) for step in STEPS if _folder(step) == folder]
    facts = table(["step", "runs for each", "from", "makes", "rule", "inputs of the rule"], rows)
    settings = "\nSettings: [configuration](../configuration.md#settings).\n" if any(row[-1] for row in rows) else ""
    return f"{text}\n## In the registry\n\n{facts}{settings}"


def _facts(step: Step) -> list[str]:
    wanted = [f"{code(each.of)}{' (optional)' if each.optional else ''}" for each in inputs_of(step)]
    made = [f"{code(role)} ({output.suffix})" for role, output in step.outputs.items()]
    return [code(step.name), str(step.scope), ", ".join(wanted), ", ".join(made), code(step.rule), codes(step.configs)]


def systems() -> str:
    """Which systems are processed."""
    named = codes(PROCESSED.if_configured)
    return f"Always: {codes(PROCESSED.systems)}. Where `dataprod/config` names their channels: {named}.\n"


def tiers() -> str:
    """What can stand at the end of a target."""
    rows = []
    for scheme in BUILTIN.values():
        pars = [f"par_{tier}" for tier in calibrated_tiers() if tier in scheme.all_tiers]
        aliases = ", ".join(f"`{name}` = `{tier}`" for name, tier in (scheme.aliases or {}).items())
        rows.append([code(scheme.name), codes(scheme.tiers), codes(scheme.on_request), codes(pars), aliases])
    return table(["key scheme", "tiers", "tiers on request", "parameters", "other names"], rows)


def files() -> str:
    """Where the outputs of every step are, for both schemes."""
    parts = []
    for scheme in BUILTIN.values():
        made = Paths(_setup(scheme), scheme)
        used = [step for step in STEPS if step.tier in scheme.all_tiers]
        rows = [
            [code(step.name), role, _path(form, scheme)]
            for step in used
            for role, form in (*made.outputs(step).items(), ("log", made.log(step)))
        ]
        key, series = scheme.key_template, scheme.series_template
        head = f"Key scheme `{scheme.name}`; `{{key}}` is `{key}`, `{{name}}` is `{series}`."
        parts.append(f"{head}\n\n" + table(["step", "output", "file, relative to the cycle"], rows))
    return "\n".join(parts)


def _path(form: str, scheme: KeyScheme) -> str:
    return code(form.replace(scheme.key_template, "{key}").replace(scheme.series_template, "{name}"))


def _setup(scheme: KeyScheme) -> Setup:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        config = Path(folder).resolve() / "config.json"
        config.write_text(json.dumps({"keys": scheme.name}), encoding="utf-8")
        return read_config(config)


# columns ------------------------------------------------------------------------------------------------------------


def default(rule: str, name: str) -> dict[str, Any]:
    """A configuration that is shipped."""
    return _read(shipped_folder(rule) / f"{name}.yaml")


def _read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def _by_system(rule: str, name: str) -> dict[str, dict[str, Any]]:
    """The shipped configurations of a rule by system; systems with the same content stand together."""
    found: dict[str, dict[str, Any]] = {}
    contents: dict[str, str] = {}
    for path in sorted(shipped_folder(rule).glob(f"{name}-*.yaml")):
        system, content = path.stem.removeprefix(f"{name}-"), _read(path)
        same = contents.setdefault(json.dumps(content, sort_keys=True), system)
        if same == system:
            found[system] = content
        else:
            joined = next(names for names in found if same in names.split(", "))
            found = {f"{names}, {system}" if names == joined else names: value for names, value in found.items()}
    return found


PASSED_ON = {
    "timestamp": ("s", "time of the event (UTC)"),
    "baseline": ("ADC", "baseline as the digitizer measured it"),
    "daqenergy": ("ADC", "energy as the digitizer measured it"),
}
"""Columns of raw that chains hand through."""


def dsp_columns() -> str:
    """The columns of dsp by system, from the shipped chains."""
    parts = []
    for names, chain in _by_system("tier_dsp", "processing_chain").items():
        known = dict(_outputs(chain["processors"]))
        rows = [[code(name), *known.get(name, PASSED_ON.get(name, ("", "")))] for name in chain["outputs"]]
        parts.append(f"{names}:\n\n" + table(["column", "unit", "meaning"], rows))
    return "\n".join(parts)


def _outputs(processors: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Unit and meaning of everything that a chain computes."""
    for made, entry in processors.items():
        processor = entry if isinstance(entry, Mapping) else {}  # a text is an expression
        names, unit = [name.strip() for name in made.split(",")], processor.get("unit", "")
        units = unit if isinstance(unit, list) else [unit] * len(names)
        for name, each in zip(names, units, strict=True):
            text = processor.get("description") or MEANINGS.get(name, "")
            yield name, (str(each), text)


MEANINGS: Mapping[str, str] = {
    **{f"tp_{part}": f"when the pulse reaches {part} % of its height" for part in ("01", 10, 20, 50, 80, 90, 95, 99)},
    "tp_min": "when the trace is lowest",
    "tp_max": "when the trace is highest",
    "wf_min": "lowest value of the trace",
    "wf_max": "highest value of the trace",
    "t_sat_lo": "`n_sat_lo`, by the name under which the published quality cuts look for discharges",
    "bl_mean": "mean of the baseline: the first third of the trace",
    "bl_std": "scatter of the baseline",
    "bl_slope": "slope of the baseline, per sample of the averaged trace",
    "bl_intercept": "value of the baseline's straight line at the beginning of the trace",
    "tail_height": "height of an earlier pulse's tail in the middle of the baseline; 0 if there is none",
    "pz_bl_mean": "mean of the baseline after the pole-zero correction",
    "pz_bl_std": "scatter of the baseline after the pole-zero correction",
    "pz_mean": "mean of the tail after the pole-zero correction",
    "pz_std": "scatter of the tail after the pole-zero correction",
    "pz_slope": "slope of the tail after the pole-zero correction, per sample of the averaged trace",
    "trapTmax": "highest value of a trapezoidal filter, 6 µs rise and 3 µs flat top (4 µs and 2 µs in other systems)",
    "trapEmax": "highest value of the energy trapezoid, 8 µs rise and 3 µs flat top",
    "trapEftp": "energy trapezoid at a fixed time after the start of the pulse",
    "cuspEmax": "highest value of the cusp filter",
    "cuspEftp": "cusp filter at a fixed time after the start of the pulse",
    "dplmsEmax": "highest value of the DPLMS filter; NaN for a detector without coefficients",
    "svm_label": "label of the trace by its shape, 0 a good one; NaN for a detector without training data",
    "zacEmax": "highest value of the zero-area cusp filter",
    "zacEftp": "zero-area cusp filter at a fixed time after the start of the pulse",
    "tp_0_est": "start of the pulse",
    "A_max": "highest current",
    "energies": "height of the step at the pulses",
}
"""Meanings of quantities whose processor has no description of its own."""


def hit_columns() -> str:
    """The columns of hit by system, from the shipped configurations."""
    parts, dsp = [], _dsp_units()
    for names, config in _by_system("tier_hit", "hit_config").items():
        made = config["operations"]
        rows = [[code(n), _unit(made.get(n)) or dsp.get(n, ""), _origin(n, config)] for n in config["outputs"]]
        parts.append(f"{names}:\n\n" + table(["column", "unit", "from"], rows))
    return "\n".join(parts)


def _dsp_units() -> dict[str, str]:
    chains = _by_system("tier_dsp", "processing_chain").values()
    known = {name: unit for name, (unit, _) in PASSED_ON.items()}
    return known | {name: unit for chain in chains for name, (unit, _) in _outputs(chain["processors"])}


def _unit(operation: Mapping[str, Any] | None) -> str:
    return str(((operation or {}).get("lgdo_attrs") or {}).get("units", ""))


def _origin(name: str, config: Mapping[str, Any]) -> str:
    if name in config["operations"]:
        return code(config["operations"][name]["expression"])
    bits = (config.get("aggregations") or {}).get(name)
    return f"bits: {', '.join(f'{bit[3:]} {code(flag)}' for bit, flag in bits.items())}" if bits else "dsp"


def evt_columns() -> str:
    """The columns of evt, from the shipped configuration."""
    config = default("tier_evt", "evt_config")
    rows = []
    for name in config["outputs"]:
        entry = config["operations"][name]
        mode = entry.get("aggregation_mode", "")
        each = "each channel" if mode.partition("_")[0].partition(":")[0] in ("gather", "keep") else ""
        text = entry.get("description", "") or code(entry["expression"].replace(GROUP, "."))
        rows.append([code(name.replace(GROUP, "/")), _unit(entry), each, codes([mode]) if mode else "", text])
    return table(["column", "unit", "list", "how", "what"], rows)


def skm() -> str:
    """Filter and fields of skm, from the shipped configuration."""
    config = default("tier_skm", "skm_config")
    return f"Events: `{config['evt_filter']}`; fields: {codes(config['keep_fields'])}.\n"


# putting it together ------------------------------------------------------------------------------------------------

BLOCKS: Mapping[str, Callable[[], str]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        commands, simulator, variables, options, ignored_options, execenv, paths, table_format, schemes, rules,
        daq_forms, other_rules, settings, unused_settings, steps, systems, tiers, files, dsp_columns, hit_columns,
        evt_columns, skm,
    )
}  # fmt: skip
"""What can be generated, by the name in the mark."""


def renewed(text: str, file: Path) -> str:
    """A document with its generated parts as they must be.

    Raises
    ------
    SystemExit
        If a mark names nothing that can be generated.
    """

    def block(match: re.Match[str]) -> str:
        if match[2] not in BLOCKS:
            raise SystemExit(f"{file}: there is nothing generated called {match[2]!r}; there are {', '.join(BLOCKS)}")
        return f"{match[1]}\n{BLOCKS[match[2]]().strip()}\n\n{match[3]}"

    return BLOCK.sub(block, text)


def documents() -> list[Path]:
    """The documents that can have generated parts."""
    return [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def whole_files() -> dict[Path, str]:
    """The files that are generated as a whole: JSON Schemas, and the pages of the steps."""
    return schemas() | step_pages()


def schemas() -> dict[Path, str]:
    """The JSON Schemas, by their files in ``docs/schemas``."""
    made = {DOCS / "schemas" / name: found for name, found in json_schemas().items()}
    return {file: json.dumps(found, indent=1, ensure_ascii=False) + "\n" for file, found in made.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Renew all documents; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 3 if something is out of date")
    check = parser.parse_args(argv).check
    stale = [(file, new) for file in documents() if (new := renewed(old := file.read_text("utf-8"), file)) != old]
    wanted = whole_files()
    stale += [(file, new) for file, new in wanted.items() if not file.is_file() or file.read_text("utf-8") != new]
    for file in sorted({*(DOCS / "schemas").glob("*.json"), *(DOCS / STEP_PAGES).glob("*.md")} - {*wanted}):
        print(f"nothing is called so any more: {file.relative_to(ROOT)}")
        return OUT_OF_DATE
    for file, new in stale:
        print(f"{'out of date' if check else 'written'}: {file.relative_to(ROOT)}")
        if not check:
            file.parent.mkdir(exist_ok=True)
            file.write_text(new, encoding="utf-8")
    return OUT_OF_DATE if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
