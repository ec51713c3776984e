"""Where listeners are, as round trips to the regions of the mesh; load is no subject here. Start reading at `nearness`."""
