"""Flows of the collaboration's published form: a package, ``pyproject.toml``, beside ``workflow/Snakefile``.

Such a flow reads a flat configuration of its own, whose template it ships. A cycle that runs it has that configuration
with the paths of a cycle, and looks to the flow as its own repository does: ``workflow`` is a link to its rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from prodenv.base.errors import UserError
from prodenv.base.files import read_data, write_text
from prodenv.base.origins import has_revision, has_version, tag
from prodenv.base.sources import Source, commit_all, is_repository, make_repository

from .yamledit import Place, Values, edited, in_it

METADATA = Path(__file__).parents[1] / "templates" / "metadata"
WORKFLOW = "workflow"
VERSIONED = "v[0-9]*"
"""The tags from which pylegendmeta takes the version of metadata."""
TAG = "v1.0.0"
"""Given to metadata without such a tag; from v0.5.9 on, all versions of pylegendmeta read them alike."""


@dataclass(frozen=True)
class Form:
    """What kind of flow of the published form a folder holds.

    Parameters
    ----------
    template
        The configuration that it ships, relative to its folder.
    config
        What its configuration is called in the folder where it runs.
    simulation
        Whether it makes simulated data.
    """

    template: str
    config: str
    simulation: bool = False


FORMS = (
    Form("dataflow-config.yaml", "dataflow-config.yaml"),
    Form("templates/default.yaml", "simflow-config.yaml", simulation=True),
)
PATHS: Values = {
    ("paths", "tier_daq"): "$_/generated/tier/daq",
    ("paths", "src"): "$_/software/python/src",
    ("paths", "install"): "$_/software/python/install",
}
"""Where a cycle has what; what only the flow knows stays as it is."""
ALWAYS = {("paths", "src"), ("paths", "install")}
"""What the production environment needs, and the template of a simulation flow does not have."""
REVISIONS: Mapping[str, str] = {"legend_metadata_version": "", "hades_metadata_version": "dataprod/config"}
"""Keys of revisions that a flow checks out when it starts, and in which part of the metadata."""
SEEDED = ("datasets/*.yaml", "dataprod/overrides/*/validity.yaml")
"""Metadata that the flow reads also where there is nothing to say."""
ASKED_BY: Mapping[str, tuple[str, str]] = {
    "hades_metadata_version": (
        "dataprod/config/ignored_cycles.yaml",
        "# Keys that are left out.\nunprocessable: []\nremoved: []\n",
    )
}
"""Further files that are asked for by flows whose configuration has a key."""
SHOWN = 3
"""As many of them are named."""
VALIDITIES = frozenset({"run_override.yaml", "validity.yaml"})
NOTHING = """\
# Nothing so far: `apply` names what holds from a time on. The flow needs an entry, so that there is something to find.
- valid_from: 20000101T000000Z
  category: all
  mode: reset
  apply: [{files}]
"""
EMPTY: Mapping[str, str] = {
    "dataprod/overrides/pht/validity.yaml": "cal/p00/r000/l200-p00-r000-cal-20000101T000000Z-par_pht-overwrite.yaml"
}
"""Lists of validity in which the flow looks for a file when it starts, whatever is asked of it: an empty one."""


def is_published(folder: Path) -> bool:
    """Whether a folder holds a flow of the published form."""
    return (folder / "pyproject.toml").is_file() and (folder / WORKFLOW / "Snakefile").is_file()


def form_of(folder: Path) -> Form | None:
    """The form of a flow that brings the template of a configuration; None for others."""
    if not is_published(folder):
        return None
    return next((form for form in FORMS if (folder / form.template).is_file()), None)


def config_text(form: Form, flow: Path, inputs: Path, asked: Source, more: Values) -> tuple[str, list[str]]:
    """The configuration that a flow reads in a cycle, and what is to be said of it.

    Parameters
    ----------
    form, flow
        What the flow is, and its folder.
    inputs
        The metadata of the cycle.
    asked
        Where they were asked to come from; a revision that was asked for stays.
    more
        Values that the user gave.

    Raises
    ------
    UserError
        If the template is not a mapping with paths.
    """
    file = flow / form.template
    text = file.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    if not isinstance(content, dict) or not isinstance(content.get("paths"), dict):
        raise UserError(f"{file} is not a configuration with paths", hint="is the revision of the dataflow right?")
    values = {place: value for place, value in PATHS.items() if place in ALWAYS or in_it(content, place)}
    gone, said = _revisions(content, inputs, asked)
    return edited(text, {**values, **more}, gone), said


def _revisions(content: Mapping[str, object], inputs: Path, asked: Source) -> tuple[list[Place], list[str]]:
    """Revisions of the metadata that the flow shall not check out, because they are not there or others are wanted."""
    gone: list[Place] = []
    said = []
    for key, part in REVISIONS.items():
        if key not in content:
            continue
        folder, revision = inputs / part, str(content[key])
        if asked.revision or not (is_repository(folder) and has_revision(folder, revision)):
            gone.append((key,))
            said.append(f"{key} {revision} is commented out: the metadata stay as they are in inputs")
    return gone, said


def prepare_metadata(form: Form, flow: Path, inputs: Path, *, ours: bool) -> list[str]:
    """Make metadata such that the flow and pylegendmeta can read them; tells what was done.

    Parameters
    ----------
    form, flow
        What the flow is, and its folder.
    inputs
        The folder of the metadata.
    ours
        Whether they are the empty ones of the production environment, whose history is ours to continue.
    """
    made = [] if form.simulation else [*_seed(inputs), *_seed_asked(inputs, read_data(flow / form.template))]
    shown = f"{', '.join(made[:SHOWN])}{f' and {len(made) - SHOWN} more' if len(made) > SHOWN else ''}"
    said = [f"inputs: what the flow cannot do without says now that there is nothing: {shown}"] if made else []
    if made and ours:
        commit_all(inputs, "What the flow cannot do without")
    if not is_repository(inputs):
        make_repository(inputs, "Metadata as they were given")
        said.append("inputs is a git repository now: the flow asks for its revision")
    if not has_version(inputs, VERSIONED):
        tag(inputs, TAG)
        said.append(f"inputs has the tag {TAG} now: pylegendmeta asks for a version")
    return said


def _seed(inputs: Path) -> list[str]:
    """Bring files that must be there where they are not, and an entry where a list of validity has none."""
    made = []
    for file in sorted(file for pattern in SEEDED for file in METADATA.glob(pattern)):
        name = file.relative_to(METADATA)
        if file.name in VALIDITIES and _lacks(inputs / name, files=str(name) in EMPTY):
            made += [str(name), *_say_nothing(inputs, str(name))]
        elif not (inputs / name).exists():
            write_text(inputs / name, file.read_text(encoding="utf-8"))
            made.append(str(name))
    return made


def _seed_asked(inputs: Path, content: object) -> list[str]:
    """Bring what only some flows ask for."""
    wanted = [each for key, each in ASKED_BY.items() if isinstance(content, dict) and key in content]
    missing = [(name, text) for name, text in wanted if not (inputs / name).exists()]
    for name, text in missing:
        write_text(inputs / name, text)
    return [name for name, _ in missing]


def _say_nothing(inputs: Path, name: str) -> list[str]:
    """Write a list of validity from which nothing follows; returns the empty files that it needs."""
    empty = EMPTY.get(name, "")
    write_text(inputs / name, NOTHING.format(files=empty))
    if not empty:
        return []
    write_text((inputs / name).parent / empty, "{}\n")
    return [str(Path(name).parent / empty)]


def _lacks(file: Path, *, files: bool) -> bool:
    """Whether a list of validity has no entry, or none that names a file."""
    entries = read_data(file) if file.exists() else None
    if not isinstance(entries, list):
        return not entries
    return not any(isinstance(entry, dict) and (entry.get("apply") or not files) for entry in entries)


def link_workflow(cycle: Path) -> None:
    """Let the flow find its rules and profiles where its own repository has them."""
    if not (cycle / WORKFLOW).exists():
        (cycle / WORKFLOW).symlink_to(Path("dataflow", WORKFLOW))


def owner_of(workflow: Path) -> Path:
    """The folder of the flow whose ``workflow`` folder is given; of any other folder, the folder itself."""
    real = workflow.parent / workflow.readlink() if workflow.is_symlink() else workflow
    return real.parent if real.name == WORKFLOW and is_published(real.parent) else workflow
