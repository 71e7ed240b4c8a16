"""One module a tier: how its files are made."""
