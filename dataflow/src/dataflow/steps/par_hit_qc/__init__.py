"""par_hit_qc: cuts that tell pulses from discharges, bursts, pile-up and other distortions, and what survives them."""
