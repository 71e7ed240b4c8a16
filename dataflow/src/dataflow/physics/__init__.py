"""What several steps share: lines and their fits, resolution curves, energy scale, selections, processing chains."""
