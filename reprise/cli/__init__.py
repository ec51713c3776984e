"""The `reprise` command: runs a mesh on this machine, and speaks to one as a listener and as an operator."""
