"""Tests of what a balancer knows about where listeners are."""
