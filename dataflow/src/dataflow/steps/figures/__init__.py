"""Draws the figures of a calibration."""
