"""Cycles that link files of another one: made, linked again after a move, and who uses whom."""
