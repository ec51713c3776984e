"""TLS on gRPC: the certificate of this process's port, replaced while it runs, and whom its channels trust.

One rule for a whole mesh: a process that trusts a certificate authority speaks TLS on every channel, and one that trusts none
speaks plain text on all of them. Nothing is negotiated and nothing falls back. A peer's certificate must be for the host by
which it was called. Who may do what is not decided here: tokens say that.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from prometheus_client import CollectorRegistry, Counter

from reprise.config import ConfigError
from reprise.log import get_logger

log = get_logger()


class _State:
    credentials: grpc.ChannelCredentials | None = None


@contextmanager
def trusting(ca_path: Path | None) -> Iterator[None]:
    """Channels made while the context lasts speak TLS with peers that a CA in the PEM file vouches for; None: plain text.

    Raises ConfigError.
    """
    before = _State.credentials
    _State.credentials = None if ca_path is None else grpc.ssl_channel_credentials(_authorities(ca_path))
    try:
        yield
    finally:
        _State.credentials = before


def credentials() -> grpc.ChannelCredentials | None:
    """What channels use; None for plain text."""
    return _State.credentials


def reload_counter(service: str, registry: CollectorRegistry) -> Counter:
    """There with or without TLS, as every figure of a service is."""
    return Counter(
        f"reprise_{service}_grpc_certificate_reloads",
        "Certificates of the gRPC port replaced",
        ["result"],
        registry=registry,
    )


class GrpcCertificate:
    """The certificate and key of the gRPC port, from two PEM files, read again when they change."""

    def __init__(self, certificate_path: Path, key_path: Path, reloads: Counter) -> None:
        self._paths = (certificate_path, key_path)
        self._stamps = self._seen()
        self._reloads = reloads
        self._first = self._load()

    def credentials(self) -> grpc.ServerCredentials:
        """For `add_secure_port`: each handshake gets the certificate that is in the files by then."""
        # None says that nothing changed; the stubs do not know.
        return grpc.dynamic_ssl_server_credentials(self._first, self._changed)  # type: ignore[arg-type]

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by grpc before each handshake, from one of its threads: the new pair, or None to go on with the last."""
        stamps = self._seen()
        if stamps == self._stamps:
            return None
        self._stamps = stamps
        try:
            changed = self._load()
        except ConfigError as error:
            self._reloads.labels("failed").inc()
            log.error("certificate_not_reloaded", port="grpc", reason=error.message)
            return None
        self._reloads.labels("ok").inc()
        log.info("certificate_reloaded", port="grpc", path=str(self._paths[0]))
        return changed

    def _load(self) -> grpc.ServerCertificateConfiguration:
        certificate, key = self._paths
        try:
            # grpc takes whatever it is given and fails every handshake later.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
            return grpc.ssl_server_certificate_configuration([(key.read_bytes(), certificate.read_bytes())])
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot use certificate {certificate} with key {key}: {error}") from None

    def _seen(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._paths)


def explain(details: str) -> str:
    """What a failed connection's details say about TLS, in words of the settings; others as they are."""
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return "no CA in tls_ca_path vouches for its certificate, or it has expired"
    if "Hostname Verification Check failed" in details:
        return "its certificate is for another host than the one by which it was called"
    if "WRONG_VERSION_NUMBER" in details:
        return "it speaks plain text, and this process trusts tls_ca_path: all of a mesh speaks TLS, or nobody"
    if _State.credentials is None and details.endswith("Socket closed") and "failed to connect" in details:
        return "it took the connection and closed it: if it speaks TLS, tls_ca_path is missing here"
    return details


def _authorities(path: Path) -> bytes:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        return path.read_bytes()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls_ca_path: {path} holds no certificates of authorities: {error}") from None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
