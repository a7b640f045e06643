"""The carrier of a Kubernetes cluster: to the services it is the agents of all its nodes, to Kubernetes a maker of Jobs."""
