"""Who calls, and whether they may: keys, roles, rates."""
