"""tier_hit"""
