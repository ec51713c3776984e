"""One line per HTTP response, in the Common Log Format: who asked, when, for what, how it ended, bytes given to the socket.

Lines are gathered and written about once a second, so a line costs its text and no system call. The file may be renamed at any
time (logrotate): a new one is begun within a second. A line that cannot be written is lost and counted; serving goes on.

Never holds more than LINES_MAX lines. Paths are written percent-coded and without their query; what is secret in a path is for
its service to hide.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from reprise.config import ConfigError
from reprise.log import get_logger

log = get_logger()
LINES_MAX = 2048
_SAFE = "/:@!$&()*+,;=~-._"


class AccessLog:
    """An open log; `shown` makes of a path what may be read. Raises ConfigError when the file cannot be opened."""

    def __init__(self, path: Path, shown: Callable[[str], str] = str) -> None:
        self.dropped = 0
        self._path = path
        self._shown = shown
        self._lines: list[bytes] = []
        try:
            self._fd = _open(path)
        except OSError as error:
            raise ConfigError(f"access_log_path: cannot write to {path}: {error.strerror}") from None
        self._stamp = _stamp()

    def request_line(self, method: str, path: str) -> bytes:
        """What was asked, on one line whatever the path holds."""
        return f"{quote(method[:20])} {quote(self._shown(path)[:2000], safe=_SAFE)} HTTP/1.1".encode()

    def add(self, peer: bytes, line: bytes, status: int, sent_bytes: int) -> None:
        """`line` is what `request_line` gave."""
        self._lines.append(b'%b - - [%b] "%b" %d %d\n' % (peer, self._stamp, line, status, sent_bytes))
        if len(self._lines) >= LINES_MAX:
            self._write()

    def flush(self) -> None:
        """Writes what there is, and takes the time anew; to be called about once a second."""
        self._stamp = _stamp()
        if self._lines:
            self._write()
        self._follow()

    def close(self) -> None:
        self._write()
        os.close(self._fd)

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        data = memoryview(b"".join(lines))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            if not self.dropped:
                log.error("access_log_not_written", path=str(self._path), reason=error.strerror)
            self.dropped += bytes(data).count(b"\n")

    def _follow(self) -> None:
        """Goes on in a new file when the old one was renamed or removed."""
        try:
            named = self._path.stat()
            if (named.st_dev, named.st_ino) == _identity(self._fd):
                return
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                return
        try:
            fd = _open(self._path)
        except OSError:
            return
        os.close(self._fd)
        self._fd = fd


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _stamp() -> bytes:
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()).encode()
