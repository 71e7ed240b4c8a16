"""DPLMS filter coefficients, from forced triggers and the pulses of a line."""
