"""Promises of the balancer: its policies by property, its service on real ports with fake edges and a fake catalog."""
