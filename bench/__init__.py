"""Benchmarks: `python -m bench [NAME ...]`. Each prints a table and leaves its figures in bench/results/NAME.json."""
