"""Running, looking at, freezing and archiving a cycle of a published flow, here a stand-in of one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..control.conftest import GitRepository
from .conftest import Theirs

pytest.importorskip("snakemake")
TARGET = "all-l200-hit.gen"


def test_its_own_snakemake_runs_its_own_snakefile_with_its_own_profile(theirs: Theirs) -> None:
    theirs.software()
    done = theirs.box.dataprod("run", "cycles/theirs", TARGET, "-j2")
    assert done.returncode == 0, done.stderr
    hit = theirs.root / "generated/tier/hit/a-tier_hit.lh5"
    assert hit.read_text() == f"bare {theirs.box.env.root}\n", "its profile says system=bare, and PRODENV is set"
    (words,) = {line.split(" --")[0] for line in (theirs.root / "own.txt").read_text().splitlines()[:1]}
    assert words == "-P -m snakemake"
    assert "✓ build hit: 2 of 2" in done.stderr
    assert "4 jobs done in" in done.stderr
    assert not (theirs.root / ".snakemake/holder.json").exists()


ASKS_GIT = """
import subprocess
for folder in ("dataflow", "inputs"):
    subprocess.run(["git", "-C", os.path.join(os.getcwd(), folder), "rev-parse", "HEAD"], check=True)
outside = subprocess.run(["git", "-C", os.environ["OUTSIDE"], "rev-parse", "HEAD"], capture_output=True, text=True)
assert "dubious ownership" in outside.stderr, outside
"""


@pytest.mark.parametrize("option", ["-j2", "--dry-run"])
def test_its_git_reads_a_colleagues_checkout_and_metadata_and_no_other(
    option: str, theirs: Theirs, git_repository: GitRepository
) -> None:
    """The flow asks git of its revisions at each start, which refuses repositories of other users."""
    outside = git_repository("outside", {"x": "1"})
    snakefile = theirs.root / "dataflow/workflow/Snakefile"
    snakefile.write_text(snakefile.read_text() + ASKS_GIT)
    environ = {"OUTSIDE": str(outside), "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    if os.getuid() == 0:
        for folder in (theirs.root / "dataflow", theirs.root / "inputs", outside):
            subprocess.run(["chown", "-R", "12345:12345", folder], check=True)
    done = theirs.box.env.run("dataprod", "run", "cycles/theirs", TARGET, option, environ=environ)
    assert done.returncode == 0, done.stderr + done.stdout
    assert (theirs.root / "generated/tier/hit/a-tier_hit.lh5").exists() == (option == "-j2")


def test_another_profile_and_another_execenv(theirs: Theirs) -> None:
    hit = theirs.root / "generated/tier/hit/a-tier_hit.lh5"
    theirs.box.ok("run", "cycles/theirs", TARGET, "-j1", "--profile", "site")
    assert hit.read_text().startswith("site ")
    hit.unlink()
    environ = {"PRODENV_SYSTEM": "site"}
    done = theirs.box.env.run("dataprod", "run", "cycles/theirs", str(hit), environ=environ)
    assert done.returncode == 0, done.stderr
    assert hit.read_text().startswith("site ")
    missing = theirs.box.dataprod("run", "cycles/theirs", TARGET, "--profile", "sit")
    assert (missing.returncode, "there are: default, site" in missing.stderr) == (2, True)


def test_a_profile_may_name_another_snakefile(theirs: Theirs) -> None:
    """Raw files of the published flow have one of their own, which one of its profiles names."""
    other, profiles = theirs.root / "dataflow/workflow/Snakefile-build-raw", theirs.root / "dataflow/workflow/profiles"
    other.write_text('rule build_raw:\n    output: "raw.txt"\n    shell: "echo {config[system]} > {output}"\n')
    (profiles / "build-raw").mkdir()
    profile = (profiles / "site/config.yaml").read_text().replace("Snakefile", "Snakefile-build-raw")
    (profiles / "build-raw/config.yaml").write_text(profile)
    theirs.box.ok("run", "cycles/theirs", "raw.txt", "-j1", "--profile", "build-raw")
    assert (theirs.root / "raw.txt").read_text() == "site\n"
    (theirs.root / "raw.txt").unlink()
    words = ("run", "cycles/theirs", "raw.txt", "-j1", "--profile", "build-raw")
    done = theirs.box.env.run("dataprod", *words, environ={"PRODENV_SYSTEM": "bare"})
    assert (done.returncode, (theirs.root / "raw.txt").read_text()) == (0, "bare\n"), done.stderr


def test_the_first_real_error_is_told_with_its_log(theirs: Theirs) -> None:
    theirs.raw(b="damaged")
    theirs.software()
    done = theirs.box.dataprod("run", "cycles/theirs", TARGET, "-j2")
    assert done.returncode == 1
    assert "error: build_hit failed to make b-tier_hit.lh5" in done.stderr
    assert "ValueError: no counts" in done.stderr
    assert f"log: {theirs.root}/generated/tmp/log/b-tier_hit.log" in done.stderr
    assert "1 of 4 jobs done, 1 failed" in done.stderr


def test_without_its_software_the_hint_is_to_install_it(theirs: Theirs) -> None:
    theirs.raw(b="damaged")
    done = theirs.box.dataprod("run", "cycles/theirs", TARGET, "-j2")
    assert done.returncode == 1
    assert "hint: no software is installed in" in done.stderr


def test_a_dry_run_is_that_of_its_snakemake(theirs: Theirs) -> None:
    done = theirs.box.dataprod("run", "cycles/theirs", TARGET, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert re.search(r"build_hit +2\n", done.stdout + done.stderr)
    assert not (theirs.root / "generated/tier/hit").exists()
    done = theirs.box.dataprod("run", "cycles/theirs", TARGET, "--dry-run", "--json")
    assert (done.returncode, "what it would make is unknown" in done.stderr) == (2, True)


def test_plain_snakemake_in_the_cycle(theirs: Theirs) -> None:
    theirs.software()
    words = [sys.executable, "-m", "prodenv.running.snakemake", "-j1", TARGET]
    environ = {"PATH": os.environ["PATH"], "HOME": str(theirs.root), "PYTHONPATH": _sources(theirs)}
    done = subprocess.run(words, cwd=theirs.root / "generated", env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (theirs.root / "own.txt").read_text().startswith(f"-P -m snakemake --snakefile={theirs.root}/dataflow/")
    assert (theirs.root / "generated/tier/hit/b-tier_hit.lh5").read_text().startswith("bare ")


def test_the_published_command_line_works_in_the_cycle(theirs: Theirs) -> None:
    """Its profile says where configuration and Snakefile are, relative to the folder it is started in."""
    words = [sys.executable, "-m", "snakemake", "--workflow-profile", "workflow/profiles/default", "--cores=1", TARGET]
    environ = os.environ | {"PRODENV": str(theirs.box.env.root)}
    done = subprocess.run(words, cwd=theirs.root, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (theirs.root / TARGET).read_text().count("hit.lh5") == 2


def _sources(theirs: Theirs) -> str:
    return os.pathsep.join(str(theirs.box.env.root / name / "src") for name in ("prodenv", "dataflow"))


def test_a_lock_that_was_left_behind_is_shown_and_taken_over(theirs: Theirs) -> None:
    (theirs.root / ".snakemake/locks").mkdir(parents=True)
    (theirs.root / ".snakemake/locks/0.output.lock").touch()
    (line,) = theirs.box.json("list")["cycles"]
    assert line["state"] == "interrupted"
    theirs.box.ok("run", "cycles/theirs", TARGET, "-j2")
    assert list((theirs.root / ".snakemake/locks").glob("*.lock")) == []


def test_what_is_unknown_is_said_with_the_files_that_are_there(theirs: Theirs) -> None:
    said = "is not that of this production environment: what it would make is unknown"
    status = theirs.box.dataprod("status", "cycles/theirs")
    assert (status.returncode, said in status.stdout) == (0, True)
    assert ["raw", "2", "0", "8"] in [line.split()[:4] for line in status.stdout.splitlines()]
    document = theirs.box.json("status", "cycles/theirs")
    assert (document["flow"], document["files"]) == (
        "unknown",
        [{"kind": "raw", "files": 2, "linked": 0, "size": 8}],
    )
    plan = theirs.box.dataprod("plan", "cycles/theirs", TARGET)
    assert (plan.returncode, said in plan.stderr) == (2, True)
    assert any(line.split()[:2] == ["raw", "2"] for line in plan.stdout.splitlines())
    why = theirs.box.dataprod("why", "cycles/theirs", "generated/tier/raw/a-tier_raw.lh5")
    assert (why.returncode, said in why.stderr) == (2, True)
    assert why.stdout.startswith("generated/tier/raw/a-tier_raw.lh5 is there: 4")
    assert theirs.box.dataprod("why", "cycles/theirs", "x").stdout == "x is not there\n"


def test_it_is_listed_shown_and_examined(theirs: Theirs) -> None:
    theirs.software()
    (line,) = theirs.box.json("list")["cycles"]
    assert (line["name"], line["state"], line["problem"]) == ("cycles/theirs", "ready", "")
    shown = theirs.box.json("show", "cycles/theirs")
    assert (shown["flow"], shown["sources"]["dataflow"]["path"]) == ("unknown", str(theirs.root / "dataflow"))
    findings = json.loads(theirs.box.dataprod("doctor", "cycles/theirs", "--json").stdout)["findings"]
    assert {each["area"] for each in findings if each["state"] == "bad"} == {"tools"}, "the tests have none"


def test_two_files_that_look_like_configurations_are_found(theirs: Theirs) -> None:
    (theirs.root / "old-config.yaml").write_text("{}")
    findings = json.loads(theirs.box.dataprod("doctor", "cycles/theirs", "--json").stdout)["findings"]
    (found,) = (each for each in findings if "old-config.yaml" in each["what"])
    assert found["state"] == "warning"


def test_it_is_frozen_archived_and_restored(theirs: Theirs) -> None:
    theirs.software()
    theirs.box.ok("run", "cycles/theirs", TARGET, "-j2")
    theirs.box.ok("freeze", "cycles/theirs")
    refused = theirs.box.dataprod("run", "cycles/theirs", TARGET)
    assert (refused.returncode, "is frozen" in refused.stderr) == (2, True)
    archive = theirs.box.env.root / "t.tar"
    theirs.box.ok("archive", "cycles/theirs", archive)
    theirs.box.ok("restore", archive, "cycles/copy")
    copy = theirs.box.env.root / "cycles/copy"
    assert (copy / "workflow").readlink() == Path("dataflow/workflow")
    assert (copy / "generated/tier/hit/a-tier_hit.lh5").read_text().startswith("bare ")
    assert theirs.box.json("show", "cycles/copy")["sources"]["dataflow"]["revision"] != ""
