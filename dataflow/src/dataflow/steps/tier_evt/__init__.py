"""tier_evt"""
