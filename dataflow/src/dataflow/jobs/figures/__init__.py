"""Figures: what a step shows as plain values, and their pages."""
