"""par_hit_ecal"""
