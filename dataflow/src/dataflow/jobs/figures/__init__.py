"""Figures: what a step shows as plain values, and their pages."""

import os

os.environ["MPLBACKEND"] = "Agg"  # before matplotlib is imported: an unknown backend of the user's ends in an error
