"""A small flow of the published shape: pyproject.toml beside workflow/Snakefile, a template, and a profile."""

from __future__ import annotations

from ..control.wheels import checkout_files

CONFIG = """\
# Settings of the site.
legend_metadata_version: v1.4.1
allow_none_par: false
mutliprocess_mode: max_usage  # as it was spelt

paths:
  sandbox_path: $_/sandbox
  # where the rules are
  workflow: $_/workflow

  metadata: $_/inputs
  detector_status: $_/inputs/datasets
  par_overwrite: $_/inputs/dataprod/overrides
  tier: $_/generated/tier
  tier_daq: $_/daq
  tier_raw: $_/generated/tier/raw
  tier_hit: $_/generated/tier/hit
  par: $_/generated/par
  par_hit: $_/generated/par/hit
  tmp_log: $_/generated/tmp/log

  src: $_/software/python/src
  install: $_/.snakemake/theirs/venv

table_format:
  hit: ch{ch:07d}/hit
  evt: "{grp}/evt"

execenv:
  bare:
    env:
      PRODENV: $PRODENV
      LGDO_BOUNDSCHECK: "false"
  site:
    cmd: nice
    env:
      PRODENV: $PRODENV
"""
SNAKEFILE = """\
import os
envvars: "PRODENV"
paths = {name: path.replace("$_", os.getcwd()) for name, path in config["paths"].items()}

rule gen_filelist:
    input: lambda w: [f"{paths['tier_hit']}/{name}-tier_hit.lh5" for name in ("a", "b")]
    output: temp("{label}-{tier}.filelist")
    shell: "printf '%s\\\\n' {input:q} > {output:q}"

rule autogen_output:
    input: "{label}-{tier}.filelist"
    output: "{label}-{tier}.gen"
    shell: "cp {input:q} {output:q}"

rule build_hit:
    input: paths["tier_raw"] + "/{name}-tier_raw.lh5"
    output: paths["tier_hit"] + "/{name}-tier_hit.lh5"
    log: paths["tmp_log"] + "/{name}-tier_hit.log"
    shell: "echo reading {input:q} > {log:q}; "
        "grep -q good {input:q} || {{ echo 'ValueError: no counts' >> {log:q}; exit 1; }}; "
        "echo {config[system]} $PRODENV > {output:q}"
"""
PROFILE = """\
cores: all
configfile: dataflow-config.yaml
snakefile: ./workflow/Snakefile
keep-going: true
config:
  - system=bare
"""


def flow_files(needs: str = '"tiny==1.0"', runs: str = '"other==3.1"') -> dict[str, str]:
    """The files of the repository; `needs` are its pins, `runs` those for running a production."""
    files = checkout_files("theirs", "3.1", "FLOW = 1\n")
    declared = f'version = "3.1"\ndependencies = [{needs}]\n\n[project.optional-dependencies]\nrunprod = [{runs}]\n'
    files["pyproject.toml"] = files["pyproject.toml"].replace('version = "3.1"\n', declared)
    files["backend.py"] = files["backend.py"].replace(
        "Version: 3.1\\n", f"Version: 3.1\\n{_metadata(needs, '')}{_metadata(runs, 'runprod')}"
    )
    return files | {
        "dataflow-config.yaml": CONFIG,
        "workflow/Snakefile": SNAKEFILE,
        "workflow/profiles/default/config.yaml": PROFILE,
        "workflow/profiles/site/config.yaml": PROFILE.replace("system=bare", "system=site"),
    }


def _metadata(requirements: str, extra: str) -> str:
    """What the backend, which copies no requirements by itself, writes of them into the wheel."""
    marker = f" ; extra == '{extra}'" if extra else ""
    lines = [f"Requires-Dist: {each.strip().strip(chr(34))}{marker}" for each in requirements.split(",") if each]
    return "".join(f"{line}\\n" for line in [*([f"Provides-Extra: {extra}"] if extra else []), *lines])


SIMULATION = """\
experiment: l200cfg09
simlist: all
paths:
  generated: $_/generated
  l200data: <...>/public/prodenv/ref-v1.0.0
  metadata: $_/inputs
  tier:
    stp: $_/generated/tier/stp
"""


def simulation_files() -> dict[str, str]:
    """The files of a simulation flow of the published shape."""
    files = {name: text for name, text in flow_files().items() if name != "dataflow-config.yaml"}
    return files | {"templates/default.yaml": SIMULATION}
