"""Names of data: schemes and keys of files, channels, and which DAQ and raw files there are."""
