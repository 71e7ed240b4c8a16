"""Events of the lines by which filters are optimised, with their traces."""
