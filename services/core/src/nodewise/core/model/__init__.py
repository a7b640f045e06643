"""The words of the domain as frozen values that validate themselves. No I/O, no clock."""
