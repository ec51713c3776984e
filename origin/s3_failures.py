"""Failures of S3 calls, named by meaning: what botocore raises becomes one of `reprise.errors`."""

from typing import Final

from aiohttp import ClientError as TransportError
from botocore.exceptions import BotoCoreError, ClientError

from reprise.errors import DataCorrupt, NotFound, RepriseError, Unavailable

# Everything that a call or a body read of aiobotocore raises when S3 fails; anything else is a bug of ours.
S3_FAILURES: Final = (ClientError, BotoCoreError, TransportError, OSError, TimeoutError)

_ABSENT = {"NoSuchKey", "NotFound", "404"}
_CHANGED = {"PreconditionFailed", "InvalidRange", "412", "416"}


def error_of(failure: Exception, what: str) -> RepriseError:
    """Our error for `failure`, one of S3_FAILURES, of the object or call that `what` names."""
    if not isinstance(failure, ClientError):
        reason = "no answer in time" if isinstance(failure, TimeoutError) else type(failure).__name__
        return Unavailable(f"S3 failed on {what}: {reason}")
    code = str(failure.response.get("Error", {}).get("Code", ""))
    if code in _ABSENT:
        return NotFound(f"S3 has no {what}")
    if code in _CHANGED:
        return DataCorrupt(f"S3 has another {what} than its manifest says ({code})")
    return Unavailable(f"S3 refused {what}: {code}")
