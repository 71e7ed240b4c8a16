"""The containers that the data acquisition writes."""
