"""DAQ files decoded into LH5 tables."""
