"""tier_raw"""
