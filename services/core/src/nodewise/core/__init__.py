"""What crosses a border between services, and nothing else."""
