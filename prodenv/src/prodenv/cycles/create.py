"""``dataprod-init-cycle`` and ``simprod-init-cycle``: a new cycle, all of it or nothing."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError
from prodenv.base.files import aside, write_text
from prodenv.base.notes import step
from prodenv.base.origins import ORIGIN, record_origin
from prodenv.base.places import ROOT
from prodenv.base.site import Site, read_site
from prodenv.base.sources import BUILTIN, Source, copy_files, make_repository, parse_source, place, state

from . import published
from .find import OWN_FOLDERS, config_file, find_cycle
from .published import form_of
from .template import config_text

GENERATED = ("log", "par", "plt", "tier", "tmp")
DEFAULT_SETUP = "l200"


@dataclass(frozen=True)
class NewCycle:
    """What is to be made."""

    root: Path
    target: Path
    experiment: str
    scheme: str
    dataflow: Source
    metadata: Source
    software: Mapping[str, Source]
    l200data: str = ""
    """The cycle of data that a simulation is compared with; empty where that is not said."""

    def plan(self) -> list[str]:
        """One line for each thing that is made, for ``--dry-run``."""
        form = form_of(Path(self.dataflow.address)) if self.dataflow.kind == "path" else None
        checkouts = [f"software/python/src/{name}/  {source}" for name, source in self.software.items()]
        folders = [f"generated/{{{','.join(GENERATED)}}}/"]
        ours = f"config.json  setup {self.experiment!r}, file names of scheme {self.scheme!r}"
        lines = [f"{form.config}  as the dataflow brings it, with the paths of a cycle" if form else ours]
        lines += [f"dataflow/  {self.dataflow}", f"inputs/  {self.metadata}", "software/", *checkouts, *folders]
        return [f"{self.target}/", *(f"  {line}" for line in lines)]


def run(options: argparse.Namespace) -> int:
    """Make the cycle that `options` describe."""
    return make(_wanted(options, ROOT), dry_run=options.dry_run)


def run_simulation(options: argparse.Namespace) -> int:
    """Make the simulation cycle that `options` describe."""
    site = read_site(ROOT)
    new = NewCycle(
        root=ROOT,
        target=target_of(options.rpath, ROOT),
        experiment=DEFAULT_SETUP,
        scheme="",
        dataflow=parse_source(options.simflow or site.sources.get("simflow", "legend-simflow"), site.dataflows),
        metadata=parse_source(options.metadata or site.sources.get("metadata", BUILTIN)),
        software={},
        l200data=str(find_cycle(options.l200data).root) if options.l200data else "",
    )
    return make(new, dry_run=options.dry_run)


def make(new: NewCycle, *, dry_run: bool) -> int:
    """Make a cycle, or say what would be made."""
    if dry_run:
        print("\n".join(["would make:", *new.plan()]))
        return 0
    said = build(new)
    config = config_file(new.target) or new.target
    print(f"made {new.target}")
    for line in said:
        print(f"  {line}")
    print(f"next: edit {config}, then run: dataprod-install-sw {_shown(config)}")
    return 0


def _shown(path: Path) -> str:
    import shlex

    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _wanted(options: argparse.Namespace, root: Path) -> NewCycle:
    site = read_site(root)
    if not re.fullmatch(r"\w+", options.setup):
        raise UserError(f"the setup name {options.setup!r} must be letters, digits and underscores")
    return NewCycle(
        root=root,
        target=target_of(options.rpath, root),
        experiment=options.setup,
        scheme=options.scheme,
        dataflow=parse_source(options.dataflow or site.sources.get("dataflow", BUILTIN), site.dataflows),
        metadata=parse_source(options.metadata or site.sources.get("metadata", BUILTIN)),
        software=_software(options, site),
    )


def target_of(rpath: str, root: Path) -> Path:
    """The folder of the new cycle: inside the production environment, and not there yet.

    Raises
    ------
    UserError
        If it exists, lies elsewhere (after resolving links), or would lie in the environment's own folders.
    """
    hint = f"give a path below {root}, for example cycles/v01"
    wanted = root / rpath
    real = wanted.resolve()
    if not real.is_relative_to(root) or real == root:
        raise UserError(f"{rpath!r} is not inside the production environment", hint=hint)
    refuse_characters(real)
    inside = real.relative_to(root)
    if inside.parts[0] in OWN_FOLDERS or inside.parts[0].startswith("."):
        raise UserError(f"{rpath!r} is in {inside.parts[0]}/, a folder of the production environment itself", hint=hint)
    if os.path.lexists(wanted) or real.exists():
        raise UserError(f"{rpath!r} exists already", hint="give another name; an existing cycle is never touched")
    _not_below_a_cycle(real, root, rpath)
    return real


REFUSED = {":": "HDF5 and lists of folders use it as a separator"}
REFUSED |= dict.fromkeys("{}*?[]", "it has a meaning in patterns of file names")
REFUSED |= dict.fromkeys("$~`\\\"'|&;<>!#%", "it has a meaning in shells and configuration files")
"""Characters that a program on the way from a configuration to a file takes for something else."""


def refuse_characters(path: Path) -> None:
    """Refuse a place whose path libraries or shells would read as something else.

    Raises
    ------
    UserError
        It names the character, and what takes it for something else.
    """
    for character in str(path):
        if character in REFUSED or not character.isprintable():
            reason = REFUSED.get(character, "it is not a printable character")
            raise UserError(
                f"the path {str(path)!r} has the character {character!r} in it: {reason}",
                hint="use letters, digits, and . - _ + = @ , or spaces",
            )


def _not_below_a_cycle(real: Path, root: Path, rpath: str) -> None:
    for folder in real.parents:
        if folder == root:
            return
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{rpath!r} would lie below {folder}, which is a file")
        if config_file(folder):
            raise UserError(
                f"{rpath!r} would lie inside the cycle {folder.relative_to(root)}", hint="give another path"
            )


def _software(options: argparse.Namespace, site: Site) -> dict[str, Source]:
    """The checkouts asked for with ``-c`` and ``--software``, by name; ``builtin`` means the released package."""
    texts = dict(site.software) if options.clone else {}
    for item in options.software:
        name, equals, text = item.partition("=")
        if equals and re.fullmatch(r"[\w.-]+", name):
            texts[name] = text
        elif item in site.software:
            texts[item] = site.software[item]
        else:
            known = ", ".join(sorted(site.software)) or "none"
            hint = f"known to the site configuration: {known}; for others give NAME=SOURCE"
            raise UserError(f"no source is known for the software {item!r}", hint=hint)
    sources = {name: parse_source(text) for name, text in sorted(texts.items())}
    return {name: source for name, source in sources.items() if source.kind != BUILTIN}


def build(new: NewCycle) -> list[str]:
    """Make the cycle beside its place and move it there when it is complete; returns what is to be said of it."""
    with aside(new.target) as folder:
        for name in GENERATED:
            (folder / "generated" / name).mkdir(parents=True)
        (folder / "software" / "python" / "src").mkdir(parents=True)
        with step(f"dataflow from {new.dataflow}"):
            place(new.dataflow, folder / "dataflow", lambda to: builtin_dataflow(new.root, to))
            record_origin(new.dataflow, folder / "dataflow")
        with step(f"inputs from {new.metadata}"):
            place(new.metadata, folder / "inputs", builtin_metadata, submodules=True)
        said = _configure(new, folder)
        for name, source in new.software.items():
            with step(f"{name} from {source}"):
                place(source, folder / "software" / "python" / "src" / name, _nothing_built_in)
        if os.path.lexists(new.target):
            raise UserError(f"{new.target} was created by someone else in the meantime")
        folder.rename(new.target)
    return said


def _configure(new: NewCycle, folder: Path) -> list[str]:
    """Write the configuration that the flow of a new cycle reads."""
    form = form_of(folder / "dataflow")
    if form is None:
        if new.l200data or not new.scheme:
            raise UserError(f"{new.dataflow} is not a simulation workflow", hint="see dataprod-init-cycle --dataflow")
        write_text(folder / "config.json", config_text(new.experiment, new.scheme))
        return []
    more: dict[tuple[str, ...], str] = {("paths", "l200data"): new.l200data} if new.l200data else {}
    if new.experiment != DEFAULT_SETUP:
        more[("experiment",)] = new.experiment
    flow, inputs = folder / "dataflow", folder / "inputs"
    said = published.prepare_metadata(form, flow, inputs, ours=new.metadata.kind == BUILTIN)
    text, more_said = published.config_text(form, flow, inputs, new.metadata, more)
    write_text(folder / form.config, text)
    published.link_workflow(folder)
    spaces = ["the path has spaces in it, and the commands of published flows do not quote it: use another one"]
    return said + more_said + (spaces if " " in str(new.target) else [])


def _nothing_built_in(to: Path) -> None:
    raise UserError(f"no sources of {to.name} are built in")


def builtin_dataflow(root: Path, to: Path) -> None:
    """The dataflow of this repository as a git repository of its own, with its origin recorded in it."""
    copy_files(root / "dataflow", to)
    origin = {"source": BUILTIN, "version": version(root)} | _revision(root / "dataflow")
    write_text(to / ORIGIN, json.dumps(origin, indent=2, sort_keys=True) + "\n")
    text = ", ".join(f"{key} {value}" for key, value in sorted(origin.items()) if value != "")
    make_repository(to, f"Dataflow of the production environment\n\nOrigin: {text}")


def _revision(folder: Path) -> dict[str, Any]:
    found = state(folder, surrounding=True)
    return found if found.get("revision") else {}


def builtin_metadata(to: Path) -> None:
    """An empty but valid metadata tree in the collaboration's layout."""
    copy_files(published.METADATA, to)
    make_repository(to, "Empty metadata in the collaboration's layout")


def version(root: Path) -> str:
    """The version of the production environment."""
    return (root / "prodenv" / "VERSION").read_text(encoding="utf-8").strip()
