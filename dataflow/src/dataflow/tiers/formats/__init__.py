"""The forms of DAQ files: how their records are walked, and what is in them."""
