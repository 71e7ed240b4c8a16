"""The configuration of a new cycle, written out in full so that it can be read and changed."""

from __future__ import annotations

import json

from .flow import ask_environment


def config_text(experiment: str, scheme: str) -> str:
    """The text of ``config.json``: complete, in the collaboration's form.

    Parameters
    ----------
    experiment
        Name of the setup.
    scheme
        Scheme of the file names, ``l200`` or ``teststand``.
    """
    return json.dumps(ask_environment("form", experiment=experiment, scheme=scheme), indent=2) + "\n"
