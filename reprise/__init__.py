"""What every part of Reprise shares: words, errors, grants, RPC and HTTP shells, and the `reprise` command.

Files here are written by hand; the folders `*/v1` are generated from `protos/`. Nothing here imports a service.
"""

__version__ = "0.1.0"
