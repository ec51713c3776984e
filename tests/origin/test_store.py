"""Reads from a real S3, through a proxy that cuts, stalls and disappears."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from origin.metrics import OriginMetrics
from origin.patience import Patience
from origin.store import Store
from reprise import s3
from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.errors import DataCorrupt, NotFound, Unavailable
from tests.origin.fakes import audio, cutting_proxy, manifest_of, signed_manifest

SONG = audio(40 * CHUNK_BYTES + 17)
SONG_ID = manifest_of(SONG).rendition_id
WHOLE = ByteRange(0, len(SONG))


@pytest.fixture
async def bucket(s3_bucket: s3.Bucket) -> s3.Bucket:
    async with s3.client(s3_bucket) as client:
        await client.put_object(Bucket=s3_bucket.name, Key=s3.rendition_key(SONG_ID), Body=SONG)
        manifest = signed_manifest(SONG).SerializeToString()
        await client.put_object(Bucket=s3_bucket.name, Key=s3.manifest_key(SONG_ID), Body=manifest)
    return s3_bucket


@asynccontextmanager
async def store_at(
    bucket: s3.Bucket, endpoint: str = "", **patience: Any
) -> AsyncIterator[tuple[Store, CollectorRegistry]]:
    registry = CollectorRegistry()
    reached = replace(bucket, endpoint=endpoint or bucket.endpoint)
    async with s3.client(reached, attempts_max=1) as client:
        yield Store(client, bucket.name, OriginMetrics(registry), Patience(**patience)), registry


def port_of(bucket: s3.Bucket) -> int:
    return urlsplit(bucket.endpoint).port or 0


async def read(store: Store, span: ByteRange = WHOLE, size_bytes: int = len(SONG)) -> bytes:
    return b"".join([piece async for piece in store.read(SONG_ID, span, size_bytes)])


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(f"reprise_origin_{name}", labels) or 0.0


async def test_a_range_is_exactly_its_bytes_and_counted(bucket: s3.Bucket) -> None:
    async with store_at(bucket) as (store, registry):
        assert await read(store, ByteRange(1_000, 300_000)) == SONG[1_000:300_000]
        assert value(registry, "s3_read_bytes_total") == 299_000
        assert value(registry, "s3_requests_total", op="get_range") == 1


async def test_a_manifest_comes_as_it_was_stored(bucket: s3.Bucket) -> None:
    async with store_at(bucket) as (store, registry):
        assert await store.fetch_manifest(SONG_ID) == signed_manifest(SONG).SerializeToString()
        assert value(registry, "s3_requests_total", op="get_manifest") == 1
        assert value(registry, "s3_read_bytes_total") == 0


async def test_a_body_that_breaks_off_is_resumed_at_the_last_good_byte(bucket: s3.Bucket) -> None:
    async with (
        cutting_proxy(port_of(bucket), [500_000, 300_001, 900_000]) as endpoint,
        store_at(bucket, endpoint) as (store, registry),
    ):
        assert await read(store) == SONG
        assert value(registry, "s3_read_bytes_total") == len(SONG)
        assert value(registry, "s3_requests_total", op="get_range") == 4
        assert value(registry, "s3_retries_total", op="get_range") == 3


async def test_bodies_that_only_trickle_end_with_the_attempts(bucket: s3.Bucket) -> None:
    async with (
        cutting_proxy(port_of(bucket), [2_000] * 50) as endpoint,
        store_at(bucket, endpoint, attempts_max=4) as (store, registry),
    ):
        with pytest.raises(Unavailable, match=f"rendition {SONG_ID} at byte"):
            await read(store)
        assert value(registry, "s3_requests_total", op="get_range") == 4


async def test_a_silent_s3_is_unavailable_when_patience_ends(bucket: s3.Bucket) -> None:
    async with (
        cutting_proxy(port_of(bucket), [0] * 10) as endpoint,
        store_at(bucket, endpoint, idle_s_max=0.2, total_s_max=0.5) as (store, _),
    ):
        with pytest.raises(Unavailable, match="no answer in time"):
            await read(store)
        with pytest.raises(Unavailable):
            await store.fetch_manifest(SONG_ID)
        assert "no answer in time" in await store.check()


async def test_an_s3_that_is_down_is_unavailable_within_its_patience(bucket: s3.Bucket) -> None:
    async with store_at(bucket, "http://127.0.0.1:9") as (store, registry):
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await read(store)
        assert time.monotonic() - started < 4.0
        assert value(registry, "s3_failures_total", op="get_range", error="Unavailable") == 4


async def test_absent_objects_are_not_found_without_a_retry(bucket: s3.Bucket) -> None:
    async with store_at(bucket) as (store, registry):
        with pytest.raises(NotFound, match="0" * 64):
            await store.fetch_manifest("0" * 64)
        with pytest.raises(NotFound):
            [piece async for piece in store.read("0" * 64, WHOLE, len(SONG))]
        assert value(registry, "s3_retries_total", op="get_range") == 0


@pytest.mark.parametrize("size_bytes", [len(SONG) + 1, len(SONG) - 1])
async def test_an_object_of_another_size_than_its_manifest_says_is_corrupt(bucket: s3.Bucket, size_bytes: int) -> None:
    async with store_at(bucket) as (store, _):
        with pytest.raises(DataCorrupt, match="in S3, not"):
            await read(store, ByteRange(0, 1_000), size_bytes)


async def test_an_object_that_changes_in_mid_read_is_corrupt(bucket: s3.Bucket) -> None:
    async with (
        cutting_proxy(port_of(bucket), [100_000]) as endpoint,
        store_at(bucket, endpoint) as (store, _),
        s3.client(bucket) as client,
    ):
        pieces = store.read(SONG_ID, WHOLE, len(SONG))
        await anext(pieces)
        await client.put_object(Bucket=bucket.name, Key=s3.rendition_key(SONG_ID), Body=SONG[::-1])
        with pytest.raises(DataCorrupt, match="PreconditionFailed"):
            [piece async for piece in pieces]


async def test_readiness_names_a_bucket_that_is_missing(bucket: s3.Bucket) -> None:
    async with store_at(bucket) as (store, _):
        assert await store.check() == ""
    async with store_at(replace(bucket, name="no-such-bucket")) as (store, _):
        assert "no-such-bucket" in await store.check()
