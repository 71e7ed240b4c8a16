"""Snakemake: started with the cycle's files, watched, its progress shown, its end told."""
