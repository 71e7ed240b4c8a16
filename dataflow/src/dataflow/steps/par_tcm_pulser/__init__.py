"""Pulser, forced-trigger and recovery masks of a calibration, made once for all steps."""
