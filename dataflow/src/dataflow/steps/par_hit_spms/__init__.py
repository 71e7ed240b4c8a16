"""par_hit_spms: the photo-electron scale, dark rate and cross-talk of each SiPM of a run."""
