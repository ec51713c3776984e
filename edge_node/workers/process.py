"""One worker process: started by exec, never by a fork that goes on, and never outliving the node process.

A fork would copy the locks of grpc's threads in whatever state they are. `subprocess` uses vfork as long as nothing has to run
between it and exec, which is why the worker ties itself to us, by PR_SET_PDEATHSIG, as the first thing that it does.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping

MODULE = "edge_node.workers"


class WorkerProcess:
    """Running from the start on. `link` is our end of its socket."""

    def __init__(self, number: int, listener: socket.socket, environment: Mapping[str, str]) -> None:
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            fds = (theirs.fileno(), listener.fileno())
            self._popen = subprocess.Popen(
                (sys.executable, "-m", MODULE, str(number), *map(str, fds), str(os.getpid())),
                env={**os.environ, **environment, "GRPC_ENABLE_FORK_SUPPORT": "0"},
                stdin=subprocess.DEVNULL,
                pass_fds=fds,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    async def wait_exit(self) -> int:
        """Its exit code, minus the signal's number when a signal ended it."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        watch = os.pidfd_open(self.pid)
        loop.add_reader(watch, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watch)
            os.close(watch)
        return self._popen.wait()

    def kill(self) -> None:
        """Ends it now; nothing if it has ended."""
        self._popen.kill()
