"""Processors of dspeed's chains in faster compiled forms, and the planner that puts them into a chain.

dspeed reads the configuration, finds types and units, and orders the processors. What it then would call one after the
other is replaced, where there is a form here (:mod:`.table`): the same values from fewer passes over the samples.
Processors that are not in the table are called as they are.
"""
