"""software"""
