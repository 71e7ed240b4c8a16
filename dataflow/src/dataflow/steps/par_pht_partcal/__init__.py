"""par_pht_partcal: one energy calibration for the runs of a partition."""
