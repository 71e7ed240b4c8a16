"""A small germanium experiment in a box: its metadata, its DAQ files, and the truth behind them."""

__version__ = "0.1.0"
