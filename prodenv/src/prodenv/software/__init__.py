"""The software of cycles and the tools: requirements, locks, checkouts, installation, compiled code."""
