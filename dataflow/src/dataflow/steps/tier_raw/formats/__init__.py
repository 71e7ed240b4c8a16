"""How each form of DAQ file is decoded, and its channels are found."""
