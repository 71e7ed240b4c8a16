"""What of a DPLMS filter has a name of its own in the data of the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .result import Result


def plot_data(result: Result) -> dict[str, Any]:
    """Coefficients, mean pulse, and energies of the line in keV without and with its correction."""
    before, after = result.energies
    found = {"coefficients": result.coefficients, "ref": result.reference, "dt_eff": result.drift}
    return {"dplms": found | {"energies": before, "energies_ctc": after}}
