"""par_hit_lq: charge that comes late, as a classifier of slow events near the surface, and its cut."""
