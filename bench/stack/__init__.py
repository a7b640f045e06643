"""How fast the running stack is, beside peers in the same run: `python -m bench.stack`, or `make bench-stack`."""
