"""The front of S3: signed manifests and ranged reads for edges, coalesced and bounded; and the import of music."""
