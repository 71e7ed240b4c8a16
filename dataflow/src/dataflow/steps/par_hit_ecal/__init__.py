"""Energy calibration of a run: lines of a source, calibration curves and resolution curves."""
