"""The time coincidence map: which channels fired together."""
