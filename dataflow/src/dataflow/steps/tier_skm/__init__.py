"""tier_skm"""
