"""What would become of a run if it were submitted now: the plan of the scheduler, made with it among the others. Pure."""
