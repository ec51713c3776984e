"""Every way a call can fail, named by meaning. Only `reprise.rpc` maps these to wire codes.

    RepriseError
    ├── InvalidRequest      the request is malformed; the same request never succeeds
    ├── OutOfRange          an offset or page lies behind the end
    ├── Unauthenticated     no valid grant or token
    ├── Forbidden           a valid one, for something else
    ├── NotFound            no such song, rendition, edge ...
    ├── AlreadyExists       would be created twice
    ├── Conflict            lost against a newer write
    ├── NotReady            the service or the target is in a state that does not allow it
    ├── QuotaExceeded       a limit is reached; do not try elsewhere, retry after a pause
    ├── Unavailable         this node cannot answer now; try the next candidate
    └── DataCorrupt         bytes do not match their signed digest

A message says what was wrong and with which value, never a secret.
"""


class RepriseError(Exception):
    """Base of all errors that may reach a client. `retry_after_s` is a hint where a retry makes sense."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class InvalidRequest(RepriseError):
    """The request is malformed; the same request never succeeds."""


class OutOfRange(RepriseError):
    """An offset or page lies behind the end."""


class Unauthenticated(RepriseError):
    """No valid grant or token came with the request."""


class Forbidden(RepriseError):
    """The grant or token is valid, for something else."""


class NotFound(RepriseError):
    """There is no such song, rendition, edge ..."""


class AlreadyExists(RepriseError):
    """It would be created twice."""


class Conflict(RepriseError):
    """The write lost against a newer one."""


class NotReady(RepriseError):
    """The service or its target is in a state that does not allow the call."""


class QuotaExceeded(RepriseError):
    """A limit is reached: retry after a pause, not elsewhere."""


class Unavailable(RepriseError):
    """This node cannot answer now: try the next candidate."""


class DataCorrupt(RepriseError):
    """Bytes do not match their signed digest."""
