"""Joins what the steps of a calibration found into the parameter file of a tier."""
