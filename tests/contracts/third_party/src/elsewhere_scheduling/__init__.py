"""Scheduling by somebody else: uses nothing of Nodewise but its core."""
