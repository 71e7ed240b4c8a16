"""Calibrated quantities, by column operations on dsp."""
