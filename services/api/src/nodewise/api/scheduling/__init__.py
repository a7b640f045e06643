"""Recurring runs: what is asked for, what is answered, and the loop that makes the runs."""
