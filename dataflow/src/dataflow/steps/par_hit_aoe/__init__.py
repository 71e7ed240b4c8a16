"""par_hit_aoe: the ratio A/E of current maximum and energy as a classifier of single-site events, and its cut."""
