"""What the calibrations of pulse-shape classifiers share, those of A/E and of late charge."""
