"""Turns the figures that the steps of a calibration have drawn into documents."""
