"""What tests of several packages share: engines, meshes of real processes, faults, S3's access record."""
