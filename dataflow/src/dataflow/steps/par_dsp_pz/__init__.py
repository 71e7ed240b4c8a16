"""par_dsp_pz"""
