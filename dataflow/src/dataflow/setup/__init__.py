"""The configuration file of a cycle: schema and reader, how commands run, which packages are to be installed."""
