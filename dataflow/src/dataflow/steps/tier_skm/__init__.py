"""The events of a run that an analysis wants, with the fields that it wants."""
