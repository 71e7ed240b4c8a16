"""Events from the rows of channels: the configuration language of pygama's event builder, evaluated for whole files."""
