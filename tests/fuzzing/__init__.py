"""Malformed submissions by the thousand against a running gateway: `make fuzz`."""
