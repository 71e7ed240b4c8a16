"""Jupyter with the software of a cycle: beside it, with its versions, and only once."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from prodenv.commands.notebook import kernel_name

from .conftest import ProdEnv
from .test_install_sw import Small, small  # noqa: F401 - a fixture
from .wheels import make_wheel

SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def beside(prodenv: ProdEnv) -> list[Path]:
    """The folders with Jupyter."""
    return sorted((prodenv.root.parent / ".cache/prodenv/jupyter").glob("[!.]*"))


def test_jupyter_is_installed_beside_with_the_versions_of_the_cycle(small: Small) -> None:  # noqa: F811
    small.installed()
    before = sorted(str(path) for path in small.install.rglob("*") if path.suffix != ".pyc")
    make_wheel(small.index, "tiny", "2.0")
    make_wheel(small.index, "jupyterlab", "4.0", ["tiny"])
    make_wheel(small.index, "ipykernel", "7.0")
    words = ("dataprod", "notebook", small.cycle, "some.ipynb", "--", "--port=1")
    done = small.prodenv.run(*words, environ=small.environ)
    assert done.returncode == 0, done.stderr
    assert "Jupyter beside the software of my v01, once" in done.stderr
    (folder,) = beside(small.prodenv)
    code = "import tiny, other, jupyterlab; print(tiny.VERSION, jupyterlab.__file__, other.__file__)"
    script = small.cycle / "ask.py"
    script.write_text(code)
    asked = small.prodenv.run("dataprod-load-sw", small.config, folder / "bin/python", script)
    version, jupyter, other = asked.stdout.split(" ", 1)[0], *asked.stdout.strip().split(" /")[1:]
    assert version == "1.0"
    assert f"/{jupyter}".startswith(str(folder)) and f"/{other}".startswith(str(small.install))
    assert sorted(str(path) for path in small.install.rglob("*") if path.suffix != ".pyc") == before
    shutil.rmtree(small.index)
    again = small.prodenv.run(*words, environ=small.environ)
    assert (again.returncode, again.stderr) == (0, "")


def test_what_cannot_be_installed_leaves_nothing(small: Small) -> None:  # noqa: F811
    small.installed()
    done = small.prodenv.run("dataprod", "notebook", small.cycle, environ=small.environ)
    assert done.returncode == 1
    assert "installing Jupyter failed" in done.stderr and "UV_INDEX_URL" in done.stderr
    assert beside(small.prodenv) == []
    nowhere = {"XDG_CACHE_HOME": str(small.config / "cache")}
    done = small.prodenv.run("dataprod", "notebook", small.cycle, environ=small.environ | nowhere)
    assert done.returncode == 2
    assert "config.json/cache/prodenv/jupyter cannot be made" in done.stderr and "XDG_CACHE_HOME" in done.stderr


@pytest.fixture
def own(prodenv: ProdEnv) -> Path:
    """A cycle whose software has Jupyter itself; its Python shows what it is asked for."""
    cycle = prodenv.cycle("cycles/my v01")
    install = cycle / "software/python/install"
    for name in ("jupyterlab", "ipykernel"):
        (install / SITE / name).mkdir(parents=True)
    python = install / "bin/python"
    python.parent.mkdir()
    python.write_text(
        f'#!{sys.executable}\nimport json, os, pathlib, sys\nspec = pathlib.Path(sys.argv[-1]) / "kernel.json"\n'
        "text = json.dumps([sys.argv[1:], dict(os.environ), spec.read_text() if spec.is_file() else None])\n"
        f"print(text)\npathlib.Path({str(cycle)!r}, 'seen.json').write_text(text)\n"
    )
    python.chmod(0o755)
    return cycle


def test_a_cycle_that_has_jupyter_uses_its_own(prodenv: ProdEnv, own: Path) -> None:
    done = prodenv.run("dataprod", "notebook", own, "a b.ipynb", "--", "--port=1")
    words, environ, _ = json.loads(done.stdout)
    assert words == ["-m", "jupyterlab", "a b.ipynb", "--port=1"]
    assert environ["DATAPROD_CYCLE"] == str(own)
    assert environ["PATH"].split(os.pathsep)[0] == str(own / "software/python/install/bin")
    assert beside(prodenv) == []


def test_a_kernel_runs_in_the_software_of_the_cycle(
    prodenv: ProdEnv, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = prodenv.run("dataprod", "notebook", own, "--kernel", environ={"TMPDIR": str(own)})
    assert done.returncode == 0, done.stderr
    assert "kernel 'cycles/my v01' is installed as dataprod-cycles-my-v01" in done.stdout
    words, _, text = json.loads((own / "seen.json").read_text())
    assert words[:-1] == ["-m", "jupyter_client.kernelspecapp", "install", "--user", "--name", "dataprod-cycles-my-v01"]
    spec, python = json.loads(text), own / "software/python/install/bin/python"
    load = [str(prodenv.root / "bin/dataprod-load-sw"), "--setup=l200", str(own / "config.json")]
    assert spec["argv"] == [*load, str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert (spec["display_name"], spec["env"]["DATAPROD_CYCLE"]) == ("cycles/my v01", str(own))


def test_names_of_kernels_are_such_as_jupyter_takes() -> None:
    assert kernel_name("/Some/Where/v01 (2)/") == "dataprod-some-where-v01-2"


def test_without_software_it_is_said_how_to_install_it(prodenv: ProdEnv) -> None:
    cycle = prodenv.cycle("cycles/v01")
    done = prodenv.run("dataprod", "notebook", cycle)
    assert done.returncode == 2
    assert "no software is installed" in done.stderr and "dataprod-install-sw" in done.stderr


def test_a_container_without_jupyter_is_told_how_to_have_it(prodenv: ProdEnv, own: Path) -> None:
    shutil.rmtree(own / "software/python/install" / SITE)
    config = own / "config.json"
    content = json.loads(config.read_text())
    content["setups"]["l200"]["execenv"] = {"cmd": "nice"}
    config.write_text(json.dumps(content))
    done = prodenv.run("dataprod", "notebook", own)
    assert done.returncode == 2
    assert "runs in a container, has no jupyterlab" in done.stderr and "pkg_versions" in done.stderr
