"""tier_dsp"""
