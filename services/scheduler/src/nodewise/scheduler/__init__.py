"""Orders what waits with a policy, admits what may be placed now, and says of everything else why it waits."""
