"""tier_tcm"""
