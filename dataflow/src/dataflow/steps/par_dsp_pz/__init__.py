"""Decay constants of the preamplifiers, from the slope of the pulses' tails."""
