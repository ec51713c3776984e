"""The three engines really start, are closed to strangers, and hold what the services need from them."""

import secrets
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio as redis
from botocore.exceptions import ClientError

from reprise import s3
from reprise.engines.postgres import Postgres, promote
from reprise.engines.seaweedfs import Seaweedfs
from tests.support.replication import replicated
from tests.support.s3_access import S3Access, sent_bytes
from tests.support.wait import wait_until


async def test_postgres_finds_trigrams_in_every_script(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    try:
        await connection.execute("CREATE EXTENSION pg_trgm; CREATE EXTENSION unaccent")
        for word in ("Björk", "東京", "Кино"):
            assert await connection.fetchval("SELECT show_trgm($1)", word), word
        assert await connection.fetchval("SELECT lower('ÅSGEIR')") == "åsgeir"
    finally:
        await connection.close()


async def test_postgres_refuses_a_wrong_password(postgres: Postgres) -> None:
    dsn = postgres.dsn("postgres").replace(postgres.password, "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn)


async def test_a_standby_repeats_its_primary_and_takes_its_place(tmp_path: Path) -> None:
    with replicated(tmp_path) as (first, second):
        primary, standby = [await asyncpg.connect(server.dsn("postgres")) for server in (first, second)]
        await primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby_1'")
        await primary.execute("SELECT pg_reload_conf()")
        # A commit now waits until the standby shows it.
        await primary.execute("SET synchronous_commit = remote_apply")
        await primary.execute("CREATE TABLE kept AS SELECT 1 AS x")
        assert await standby.fetchval("SELECT x FROM kept") == 1
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await standby.execute("INSERT INTO kept VALUES (2)")
        first.kill()
        await promote(second.dsn("postgres"))
        await standby.execute("INSERT INTO kept VALUES (2)")
        assert await standby.fetchval("SELECT pg_walfile_name(pg_current_wal_insert_lsn())") > "00000002"
        await standby.close()


async def test_valkey_answers_with_its_password_and_refuses_without(valkey_url: str) -> None:
    async with redis.from_url(valkey_url) as client:
        assert await client.ping()
    stranger = valkey_url.replace(valkey_url.split("@", maxsplit=1)[0], "redis://", 1).replace("//@", "//")
    async with redis.from_url(stranger) as client:
        with pytest.raises(redis.AuthenticationError):
            await client.ping()


async def test_s3_refuses_a_wrong_key(s3_bucket: s3.Bucket, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.credentials"
    wrong.write_text("test\nwrong\n")
    async with s3.client(replace(s3_bucket, credentials_path=wrong)) as client:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            await client.list_objects_v2(Bucket=s3_bucket.name)


async def test_s3_tells_who_read_what_and_how_many_bytes(
    s3_bucket: s3.Bucket, seaweedfs: Seaweedfs, s3_access: S3Access
) -> None:
    content = secrets.token_bytes(300_000)
    async with s3.client(s3_bucket) as client:
        await client.put_object(Bucket=s3_bucket.name, Key="song", Body=content)
        answer = await client.get_object(Bucket=s3_bucket.name, Key="song", Range="bytes=65536-196607")
        async with answer["Body"] as body:
            assert await body.read() == content[65_536:196_608]
    await wait_until(lambda: s3_access.gets(s3_bucket.name, "song"), "the audit record arrived")
    assert [access.status for access in s3_access.gets(s3_bucket.name)] == [206]
    await wait_until(lambda: sent_bytes(seaweedfs.metrics_url, s3_bucket.name) > 0, "the bytes were counted")
    assert sent_bytes(seaweedfs.metrics_url, s3_bucket.name) == 131_072
