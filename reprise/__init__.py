"""What every part of Reprise shares: words, errors, grants, RPC and HTTP shells, and the `reprise` command.

Files here are written by hand; the folders `*/v1` are generated from `protos/`. Nothing here imports a service.
"""

import os

# Read by grpc when it is loaded. Of its own lines only errors are written: each stranger at a TLS port would cause one.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

__version__ = "0.1.0"
