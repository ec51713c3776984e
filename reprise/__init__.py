"""What every part of Reprise shares: words, errors, grants, RPC and HTTP shells, and the `reprise` command.

Files here are written by hand; the folders `*/v1` are generated from `protos/`. Nothing here imports a service.
"""

import os

# Both are read by grpc when it is loaded. Of its own lines only errors are written, or each stranger at a TLS port would cause
# one. And it waits for sockets as it did up to 1.79: the later way hands each event through one thread more, which costs a
# bare stream 7 to 10 % more CPU, measured. A version that does not know these names any more says so in its first line.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")

__version__ = "0.1.0"
