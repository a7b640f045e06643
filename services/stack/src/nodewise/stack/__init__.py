"""Everything on one machine: the servers, the services and the agents, as ordinary processes under one supervisor."""
