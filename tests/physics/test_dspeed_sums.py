"""What a processor of dspeed writes into an array of another type than its own arrives there."""

from __future__ import annotations

import numpy as np
import pytest

from dataflow.physics import dspeed_outputs


@pytest.mark.parametrize("kind", ["u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("declared", ["", ", dtype='I'", ", dtype='f'", ", dtype='d'", ", dtype='q'"])
@pytest.mark.parametrize("normalised", [0, 1])
def test_sums_are_those_of_numpy(kind: str, declared: str, normalised: int) -> None:
    from dspeed.processing_chain import build_processing_chain
    from lgdo import Table, WaveformTable

    dspeed_outputs.install()
    waves = np.random.default_rng(3).integers(0, 60_000, (20, 803)).astype(kind)
    table = Table(col_dict={"waveform": WaveformTable(values=waves, dt=16, dt_units="ns", t0=0, t0_units="ns")})
    out = f"sums(shape=len(waveform)//8, period=waveform.period*8, offset=waveform.offset{declared})"
    processors = {"rate, sums": {"function": "presum", "module": "dspeed.processors",
                                 "args": ["waveform", normalised, "rate", out], "unit": ["ADC", "ADC"]}}  # fmt: skip
    chain, _, made = build_processing_chain({"outputs": ["rate", "sums"], "processors": processors}, tb_in=table)
    chain.execute()
    expected = waves[:, :800].astype("i8").reshape(20, 100, 8).sum(axis=2)
    tolerance = 1 if normalised and declared in (", dtype='I'", ", dtype='q'") else 1e-2 if normalised else 0
    np.testing.assert_allclose(made["sums"].values.nda, expected / (8 if normalised else 1), rtol=0, atol=tolerance)
    assert (made["rate"].nda == 8).all()
