"""Covers are read from a real S3, once, checked, and cached for ever."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from catalog import covers
from catalog.covers import Covers
from catalog.metrics import CatalogMetrics
from reprise import s3
from reprise.http_message import Request, Response
from tests.support.s3_access import S3Access
from tests.support.wait import wait_until

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 100


@pytest.fixture
async def s3_client(s3_bucket: s3.Bucket) -> AsyncIterator[Any]:
    async with s3.client(s3_bucket, attempts_max=1) as client:
        yield client


@pytest.fixture
def served(s3_client: Any, s3_bucket: s3.Bucket, metrics: CatalogMetrics) -> Covers:
    return Covers(s3_client, s3_bucket.name, 10_000, metrics)


async def store(client: Any, bucket: s3.Bucket, body: bytes, cover_id: str = "") -> str:
    """Puts a cover into S3; its id."""
    cover_id = cover_id or hashlib.sha256(body).hexdigest()
    await client.put_object(Bucket=bucket.name, Key=s3.cover_key(cover_id), Body=body)
    return cover_id


async def get(served: Covers, cover_id: str, method: str = "GET", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await served.handle(Request(method, f"/covers/{cover_id}", "", named, b"", "test"))


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0 jpeg", "image/jpeg"),
        (b"GIF89a gif", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"<svg onload=alert(1)>", "application/octet-stream"),
    ],
)
async def test_a_cover_comes_with_its_type_and_may_be_kept_for_ever(
    served: Covers, s3_client: Any, s3_bucket: s3.Bucket, body: bytes, media_type: str
) -> None:
    cover_id = await store(s3_client, s3_bucket, body)
    answer = await get(served, cover_id)
    headers = dict(answer.headers)
    assert (answer.status, answer.body, headers["content-type"]) == (200, body, media_type)
    assert headers["etag"] == f'"{cover_id}"'
    assert "immutable" in headers["cache-control"]
    assert headers["x-content-type-options"] == "nosniff"


async def test_head_tells_the_length_without_the_body(served: Covers, s3_client: Any, s3_bucket: s3.Bucket) -> None:
    answer = await get(served, await store(s3_client, s3_bucket, PNG), "HEAD")
    assert (answer.status, answer.body, answer.content_length) == (200, b"", len(PNG))


async def test_many_listeners_of_a_cold_cover_cause_one_read(
    served: Covers, s3_client: Any, s3_bucket: s3.Bucket, s3_access: S3Access
) -> None:
    cover_id = await store(s3_client, s3_bucket, PNG)
    answers = await asyncio.gather(*(get(served, cover_id) for _ in range(20)))
    assert all(answer.body == PNG for answer in answers)
    assert (await get(served, cover_id)).body == PNG
    # The record lags: once it has an object that was read later, it has all earlier reads.
    marker = await store(s3_client, s3_bucket, PNG + b"marker")
    await get(served, marker)
    await wait_until(lambda: s3_access.gets(s3_bucket.name, s3.cover_key(marker)), "the record of the marker")
    assert len(s3_access.gets(s3_bucket.name, s3.cover_key(cover_id))) == 1


async def store_size(client: Any, bucket: s3.Bucket, cover_id: str, px: int, body: bytes) -> None:
    await client.put_object(Bucket=bucket.name, Key=s3.cover_size_key(cover_id, px), Body=body)


async def test_a_size_is_served_and_without_it_the_next_larger_one_or_the_image_itself(
    served: Covers, s3_client: Any, s3_bucket: s3.Bucket
) -> None:
    cover_id = await store(s3_client, s3_bucket, PNG + b"sized")
    for px in (96, 640):
        await store_size(s3_client, s3_bucket, cover_id, px, b"\xff\xd8\xff\xe0 jpeg %d" % px)
    for asked, got in ((96, 96), (97, 640), (640, 640), (641, 0)):
        answer = await get(served, f"{cover_id}/{asked}")
        headers = dict(answer.headers)
        body = b"\xff\xd8\xff\xe0 jpeg %d" % got if got else PNG + b"sized"
        assert (answer.status, answer.body) == (200, body)
        assert headers["etag"] == (f'"{cover_id}-{got}"' if got else f'"{cover_id}"')
        assert headers["content-type"] == ("image/jpeg" if got else "image/png")
        again = await get(served, f"{cover_id}/{asked}", if_none_match=headers["etag"])
        assert (again.status, dict(again.headers)["etag"]) == (304, headers["etag"])
    assert (await get(served, cover_id, if_none_match=f'"{cover_id}-96"')).status == 200


async def test_a_size_that_is_no_image_is_not_served(served: Covers, s3_client: Any, s3_bucket: s3.Bucket) -> None:
    cover_id = await store(s3_client, s3_bucket, PNG + b"of a bad size")
    await store_size(s3_client, s3_bucket, cover_id, 96, b"<html>")
    assert (await get(served, f"{cover_id}/96")).status == 502


@pytest.mark.parametrize("size", ["", "0", "-1", "96px", "10000", "٩٦", "96/"])
async def test_a_malformed_size_is_refused(served: Covers, size: str) -> None:
    answer = await get(served, f"{'0' * 64}/{size}")
    assert answer.status == 400
    assert b"1 to 9999 pixels" in bytes(answer.body)  # type: ignore[arg-type]


class Trickle:
    """An S3 that sends a few bytes at a time."""

    def __init__(self, body: bytes) -> None:
        self._left = body

    async def get_object(self, **_asked: str) -> dict[str, "Trickle"]:
        return {"Body": self}

    async def __aenter__(self) -> "Trickle":
        return self

    async def __aexit__(self, *_failure: object) -> None:
        return None

    async def read(self, count: int) -> bytes:
        piece, self._left = self._left[: min(count, 100)], self._left[min(count, 100) :]
        return piece


async def test_a_cover_that_arrives_in_pieces_is_whole(metrics: CatalogMetrics) -> None:
    served = Covers(Trickle(PNG), "x", 10_000, metrics)
    answer = await get(served, hashlib.sha256(PNG).hexdigest())
    assert (answer.status, answer.body) == (200, PNG)


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"other", "{}"'])
async def test_who_has_it_is_not_sent_it_again(served: Covers, form: str) -> None:
    cover_id = hashlib.sha256(b"never stored").hexdigest()
    answer = await get(served, cover_id, if_none_match=form.format(cover_id))
    assert (answer.status, answer.body) == (304, b"")
    assert dict(answer.headers)["etag"] == f'"{cover_id}"'


async def test_unknown_and_malformed_ids_have_a_clear_answer(served: Covers, s3_client: Any) -> None:
    unknown = await get(served, "0" * 64)
    assert (unknown.status, unknown.body) == (404, f"no cover {'0' * 64}\n".encode())
    for cover_id in ("", "../secrets", "A" * 64, "0" * 63):
        answer = await get(served, cover_id)
        assert answer.status == 400
        assert b"cover id must be 64 lower-case hex digits" in bytes(answer.body)  # type: ignore[arg-type]


async def test_a_cover_that_is_not_what_its_id_says_is_not_served(
    served: Covers, s3_client: Any, s3_bucket: s3.Bucket, registry: CollectorRegistry
) -> None:
    cover_id = await store(s3_client, s3_bucket, b"something else", hashlib.sha256(PNG).hexdigest())
    assert (await get(served, cover_id)).status == 502
    await store(s3_client, s3_bucket, PNG)
    assert (await get(served, cover_id)).status == 200
    assert registry.get_sample_value("reprise_catalog_covers_total", {"result": "corrupt"}) == 1


async def test_the_cache_is_bounded_by_bytes(
    served: Covers, s3_client: Any, s3_bucket: s3.Bucket, registry: CollectorRegistry
) -> None:
    for number in range(20):
        await get(served, await store(s3_client, s3_bucket, PNG + bytes([number])))
    cached = registry.get_sample_value("reprise_catalog_cover_cache_bytes")
    assert cached is not None
    assert 10_000 - 2 * len(PNG) < cached <= 10_000
    huge = await store(s3_client, s3_bucket, PNG + bytes(20_000))
    assert (await get(served, huge)).status == 200
    assert registry.get_sample_value("reprise_catalog_cover_cache_bytes") == cached


async def test_a_store_that_is_gone_is_unavailable(s3_bucket: s3.Bucket, metrics: CatalogMetrics) -> None:
    nowhere = s3.Bucket("http://127.0.0.1:1", "x", s3_bucket.credentials_path)
    async with s3.client(nowhere, attempts_max=1) as client:
        answer = await get(Covers(client, "x", 1000, metrics), "0" * 64)
    assert (answer.status, answer.body) == (503, b"the store of covers does not answer: try again\n")


class StuckS3:
    """An S3 that never answers."""

    async def get_object(self, **_asked: str) -> None:
        await asyncio.Event().wait()


async def test_reads_at_once_are_bounded(metrics: CatalogMetrics) -> None:
    served = Covers(StuckS3(), "x", 1000, metrics)
    waiting = [asyncio.create_task(get(served, f"{number:064x}")) for number in range(covers.READS_MAX)]
    await asyncio.sleep(0)
    answer = await get(served, "f" * 64)
    assert answer.status == 503
    assert (await get(served, "e" * 64)).status == 503
    for task in (*waiting, *served._reads.values()):
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
