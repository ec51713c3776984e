"""Does the simulator tell the truth? The same listeners on a real mesh and in `bench.balancer`, side by side."""
