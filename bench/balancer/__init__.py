"""A mesh in a box: the balancer's own pick and its rivals under the same simulated listeners."""
