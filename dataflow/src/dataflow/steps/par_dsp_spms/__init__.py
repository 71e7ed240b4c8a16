"""par_dsp_spms: the noise of each SiPM of a file, which its pulses must exceed."""
