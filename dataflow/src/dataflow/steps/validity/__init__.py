"""The list beside parameter files that says from when on each of them holds."""
