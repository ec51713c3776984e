"""TLS on real gRPC ports: who is trusted, what is said when somebody is not, and certificates replaced while a service runs."""

import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from reprise import rpc, rpc_tls
from reprise.catalog.v1.catalog_service_pb2 import SearchRequest
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from reprise.config import ConfigError
from reprise.errors import RepriseError, Unavailable
from reprise.service import App, Listening, ServiceSettings, listening
from tests.edge_node.edges import make_audio, running_edge, running_region, scripted_origin
from tests.reprise import toy
from tests.reprise.certificates import write_certificate

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def toys(certificate: tuple[Path, Path] | None) -> AsyncIterator[tuple[Listening, CollectorRegistry]]:
    """A service of toys, with this certificate and key or in plain text."""
    registry = CollectorRegistry()
    paths = certificate or (None, None)
    settings = ServiceSettings(tls_certificate_path=paths[0], tls_key_path=paths[1])
    async with listening(App(name="toy", settings=settings, servicers=toy.servicers(), registry=registry)) as running:
        yield running, registry


async def ask(port: int, ca_path: Path | None) -> str:
    """What a new connection is answered. Raises `reprise.errors`."""
    address = f"127.0.0.1:{port}"
    with rpc_tls.trusting(ca_path):
        channel = rpc.channel(address)
    async with channel:
        try:
            answer = await CatalogServiceStub(channel).Search(SearchRequest(query="echo"), timeout=20)
        except grpc.aio.AioRpcError as failure:
            raise rpc.error_of(failure, address) from None
    return answer.next_cursor


async def refusal(port: int, ca_path: Path | None) -> str:
    with pytest.raises(Unavailable) as refused:
        await ask(port, ca_path)
    assert "\n" not in refused.value.message
    return refused.value.message.removeprefix(f"127.0.0.1:{port}: ")


def served_certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=20)


def reloads(registry: CollectorRegistry, result: str) -> float | None:
    return registry.get_sample_value("reprise_toy_grpc_certificate_reloads_total", {"result": result})


async def test_whom_an_authority_vouches_for_is_called_by_tls(tmp_path: Path) -> None:
    async with toys(write_certificate(tmp_path, "toy")) as (running, _):
        assert await ask(running.grpc_port, tmp_path / "tls.crt") == "echo"


async def test_nobody_else_is(tmp_path: Path) -> None:
    stranger, _ = write_certificate(tmp_path / "stranger", "stranger")
    async with toys(write_certificate(tmp_path, "toy")) as (running, _):
        said = await refusal(running.grpc_port, stranger)
    assert said == "no CA in tls_ca_path vouches for its certificate, or it has expired"


async def test_a_certificate_is_for_the_host_that_was_called(tmp_path: Path) -> None:
    async with toys(write_certificate(tmp_path, "toy", host="127.0.0.2")) as (running, _):
        said = await refusal(running.grpc_port, tmp_path / "tls.crt")
    assert said == "its certificate is for another host than the one by which it was called"


async def test_who_trusts_an_authority_never_speaks_plain_text(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path, "toy")
    async with toys(None) as (running, _):
        said = await refusal(running.grpc_port, certificate)
    assert said.startswith("it speaks plain text")


async def test_a_caller_in_plain_text_gets_one_clear_error(tmp_path: Path) -> None:
    async with toys(write_certificate(tmp_path, "toy")) as (running, _):
        said = await refusal(running.grpc_port, None)
    assert said == "it took the connection and closed it: if it speaks TLS, tls_ca_path is missing here"


async def test_new_connections_get_a_replaced_certificate_and_old_ones_go_on(tmp_path: Path) -> None:
    async with toys(write_certificate(tmp_path, "first")) as (running, registry):
        first = tmp_path / "first.crt"
        shutil.copy(tmp_path / "tls.crt", first)
        with rpc_tls.trusting(first):
            kept = rpc.channel(f"127.0.0.1:{running.grpc_port}")
        async with kept:
            stub = CatalogServiceStub(kept)
            await stub.Search(SearchRequest())
            write_certificate(tmp_path, "second")
            assert await ask(running.grpc_port, tmp_path / "tls.crt") == "echo"
            assert (await stub.Search(SearchRequest(query="old"))).next_cursor == "old"
        assert served_certificate(running.grpc_port) == (tmp_path / "tls.crt").read_text()
        assert (reloads(registry, "ok"), reloads(registry, "failed")) == (1, None)
        assert "vouches" in await refusal(running.grpc_port, first)


async def test_a_replacement_that_does_not_fit_leaves_the_old_certificate_in_use(tmp_path: Path) -> None:
    async with toys(write_certificate(tmp_path, "first")) as (running, registry):
        before = served_certificate(running.grpc_port)
        (tmp_path / "tls.key").write_text("not a key")
        assert served_certificate(running.grpc_port) == before
        assert reloads(registry, "failed") == 1
        (tmp_path / "tls.crt").unlink()
        assert served_certificate(running.grpc_port) == before
        assert reloads(registry, "failed") == 2


async def test_files_that_are_no_certificates_end_the_start_with_their_names(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "toy")
    empty = tmp_path / "empty"
    empty.write_text("")
    with pytest.raises(ConfigError, match=str(empty)):
        rpc_tls.GrpcCertificate(certificate, empty, rpc_tls.reload_counter("toy", CollectorRegistry()))
    for wrong in (empty, tmp_path / "missing", key):
        with pytest.raises(ConfigError, match=f"tls_ca_path: {wrong}"), rpc_tls.trusting(wrong):
            pass


async def test_trust_ends_with_its_context(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path, "toy")
    with rpc_tls.trusting(certificate):
        assert rpc_tls.credentials() is not None
        with rpc_tls.trusting(None):
            assert rpc_tls.credentials() is None
    assert rpc_tls.credentials() is None


async def test_edges_fill_from_origins_and_from_each_other_by_tls(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path / "tls", "edge")
    origin_certificate = rpc_tls.GrpcCertificate(certificate, key, rpc_tls.reload_counter("toy", CollectorRegistry()))
    tls = {"tls_certificate_path": certificate, "tls_key_path": key}
    with rpc_tls.trusting(certificate):
        async with (
            scripted_origin(origin_certificate.credentials()) as origin,
            running_region(tmp_path, 2, origin.address, **tls) as edges,
        ):
            audio = origin.add(make_audio(300_000))
            for edge in edges:
                assert await edge.play(audio) == audio.data
            assert set(origin.given_of(audio)) == {1}
            assert sum(edge.node.metrics.fill_bytes["peer"] for edge in edges) == len(audio.data)
        async with scripted_origin() as plain, running_edge(tmp_path / "alone", "edge-3", plain.address, **tls) as edge:
            song = plain.add(audio)
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await edge.play(song)
            assert "it speaks plain text" in (failure.value.details() or "")


def test_a_process_takes_its_trust_and_its_certificate_from_its_settings(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "toy")
    settings = {"tls_certificate_path": certificate, "tls_key_path": key, "tls_ca_path": certificate}
    environ = os.environ | {f"REPRISE_TOY_{name.upper()}": str(path) for name, path in settings.items()}
    argv = [sys.executable, "-m", "tests.reprise.toy_service"]
    with subprocess.Popen(argv, env=environ, cwd=ROOT, stderr=subprocess.PIPE, text=True) as popen:
        try:
            assert popen.stderr is not None
            ports: dict[str, Any] = json.loads(popen.stderr.readline())
            assert served_certificate(ports["grpc_port"]) == certificate.read_text()
        finally:
            popen.kill()
    (tmp_path / "tls.crt").write_text("")
    ended = subprocess.run(argv, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("toy: tls_ca_path: ")
    assert ended.stderr.count("\n") == 1


def test_other_failures_are_told_as_they_are() -> None:
    assert rpc_tls.explain("deadline exceeded") == "deadline exceeded"
    assert issubclass(ConfigError, RepriseError)
