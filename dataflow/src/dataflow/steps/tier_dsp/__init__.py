"""Quantities from waveforms, by dspeed's processing chains."""
