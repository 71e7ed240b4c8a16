"""Compiling ahead: the shipped germanium chain on a few empty traces of each form that raw files have."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import yaml
from lgdo import Table, WaveformTable

from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics import chains
from dataflow.physics.rawtables import narrowed
from dataflow.physics.trychains import FORMS, table_of

from .passes import run_compiled

CHAIN = "processing_chain-geds.yaml"


def compile_ahead() -> Iterator[str]:
    """Have every loop that the chain uses compiled, for traces of integers and decoded ones; the forms, one by one."""
    chain = yaml.safe_load((shipped_folder("tier_dsp") / CHAIN).read_text())
    chains.install()
    for name, form in FORMS.items():
        table = table_of(form)
        for each in (table, narrowed(_wide(table))):
            run_compiled(each, chains.fitted(chain, list(each)), {})
            yield name


def _wide(table: Table) -> Table:
    """The same with traces as codecs decode them."""
    copy = deepcopy(table)
    for node in copy.values():
        if isinstance(node, WaveformTable):
            node.values.nda = node.values.nda.astype("i4")
    return copy
