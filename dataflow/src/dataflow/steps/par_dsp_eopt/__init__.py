"""Filters by the widths of lines, and the correction for charge trapping."""
