"""A song to stop in, and listeners nobody else has."""

import secrets

import pytest

from catalog.publish import Publisher
from tests.catalog import songbook


@pytest.fixture
def user() -> str:
    return f"listener-{secrets.token_hex(8)}"


@pytest.fixture
async def song_id(publisher: Publisher) -> str:
    publication = songbook.publication("Long Song", source_sha256=songbook.digest("long song"))
    return str((await publisher.publish(publication)).song_id)
