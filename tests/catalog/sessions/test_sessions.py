"""Sessions on a real database: logins, refreshes at the same moment, reuse, bounds."""

import asyncio
import secrets
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.database import Database
from catalog.sessions import refresh_tokens
from catalog.sessions.attempts import NAMES
from catalog.sessions.issuing import Device, Session
from catalog.sessions.logins import Logins
from catalog.sessions.metrics import SessionMetrics
from catalog.sessions.passwords import Passwords
from catalog.sessions.sessions import DEVICES_MAX, SESSIONS_MAX, Sessions
from reprise.errors import AlreadyExists, QuotaExceeded, Unauthenticated
from reprise.session_tokens import Verifier
from tests.catalog.conftest import new_id

PHONE, TABLET = Device("phone", "Phone"), Device("tablet", "Tablet")
ADDRESS = "192.0.2.1"
PASSWORD = "correct horse"


def new_name() -> str:
    return f"Ada {secrets.token_hex(6)}"


def new_secret() -> str:
    return secrets.token_urlsafe(32)


@pytest.fixture
async def ada(logins: Logins) -> str:
    """The name of a user whose password is PASSWORD."""
    name = new_name()
    await logins.set_user(name, PASSWORD, replace=False)
    return name


async def grow_old(database: Database, session: Session, by: timedelta) -> None:
    """The session's last refresh is that much longer ago."""
    row = t.session.c
    statement = sa.update(t.session).where(row.id == session.session_id)
    values = {"refreshed_at": row.refreshed_at - by, "expires_at": row.expires_at - by}
    await database.write(lambda connection: connection.execute(statement.values(**values)))


async def count(database: Database, table: sa.Table, account_id: str) -> int:
    statement = sa.select(sa.func.count()).select_from(table).where(table.c.account_id == account_id)
    return int(await database.read(lambda connection: connection.scalar(statement)) or 0)


async def test_a_password_makes_a_session_whose_token_names_account_session_and_device(
    logins: Logins, verifier: Verifier, ada: str
) -> None:
    session = await logins.by_password(ada.upper(), PASSWORD, PHONE, ADDRESS)
    claims = verifier.verify(session.access_token, time.time())
    assert (claims.account_id, claims.session_id, claims.device_id) == (session.user_id, session.session_id, "phone")
    assert session.access_expires_unix_ms == claims.expires_unix_s * 1000
    assert session.refresh_expires_unix_ms > (time.time() + 59 * 86_400) * 1000


async def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(logins: Logins, ada: str) -> None:
    answers = set()
    for name, password in ((ada, "wrong horse"), (new_name(), PASSWORD)):
        with pytest.raises(Unauthenticated) as refused:
            await logins.by_password(name, password, PHONE, ADDRESS)
        answers.add(refused.value.message)
    assert len(answers) == 1


async def test_who_guesses_is_told_to_wait_even_with_the_right_password(logins: Logins, ada: str) -> None:
    guesses = [logins.by_password(ada, f"guess {number}", PHONE, ADDRESS) for number in range(NAMES.free + 5)]
    outcomes = [type(outcome) for outcome in await asyncio.gather(*guesses, return_exceptions=True)]
    assert outcomes.count(Unauthenticated) == NAMES.free + 1
    with pytest.raises(QuotaExceeded):
        await logins.by_password(ada, PASSWORD, PHONE, ADDRESS)


async def test_a_device_comes_back_to_its_listener_by_its_secret(logins: Logins) -> None:
    secret = new_secret()
    first = await logins.by_secret(secret, PHONE, ADDRESS)
    again = await logins.by_secret(secret, PHONE, ADDRESS)
    assert first.user_id == again.user_id
    assert first.session_id != again.session_id
    assert (await logins.by_secret(new_secret(), PHONE, ADDRESS)).user_id != first.user_id


async def test_a_secret_opens_nothing_from_another_device(logins: Logins) -> None:
    secret = new_secret()
    await logins.by_secret(secret, PHONE, ADDRESS)
    with pytest.raises(Unauthenticated):
        await logins.by_secret(secret, TABLET, ADDRESS)


async def test_a_device_that_logs_in_twice_at_once_is_one_listener(logins: Logins) -> None:
    secret = new_secret()
    sessions = await asyncio.gather(*(logins.by_secret(secret, PHONE, ADDRESS) for _ in range(4)))
    assert len({session.user_id for session in sessions}) == 1


async def test_refreshes_at_the_same_moment_rotate_once_and_all_get_valid_tokens(
    logins: Logins, sessions: Sessions, database: Database, verifier: Verifier, registry: CollectorRegistry
) -> None:
    session = await logins.by_secret(new_secret(), PHONE, ADDRESS)
    refreshes: list[asyncio.Task[Session]] = []

    async def hold(connection: AsyncConnection) -> None:
        """Keeps the session's row until all refreshes wait for it."""
        await connection.execute(
            sa.select(t.session.c.id).where(t.session.c.id == session.session_id).with_for_update()
        )
        refreshes.extend(asyncio.create_task(sessions.refresh(session.refresh_token)) for _ in range(4))
        blocked = sa.text("SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0")
        async with asyncio.timeout(5):
            while (await connection.execute(blocked)).scalar_one() < len(refreshes):
                await asyncio.sleep(0.01)
                # What a transaction sees of others' activity is else what it saw first.
                await connection.execute(sa.text("SELECT pg_stat_clear_snapshot()"))

    await database.write(hold)
    answers = await asyncio.gather(*refreshes)
    assert len({answer.refresh_token for answer in answers}) == 1
    for answer in answers:
        assert verifier.verify(answer.access_token, time.time()).session_id == session.session_id
    rotated, repeated = (
        registry.get_sample_value("reprise_catalog_session_refreshes_total", {"outcome": outcome})
        for outcome in ("rotated", "repeated")
    )
    assert (rotated, repeated) == (1, 3)
    assert await sessions.refresh(answers[0].refresh_token)


async def test_a_token_used_again_after_a_while_ends_the_session_for_everybody(
    logins: Logins, sessions: Sessions, database: Database
) -> None:
    session = await logins.by_secret(new_secret(), PHONE, ADDRESS)
    thief = await sessions.refresh(session.refresh_token)
    await grow_old(database, session, refresh_tokens.GRACE)
    with pytest.raises(Unauthenticated, match="used before"):
        await sessions.refresh(session.refresh_token)
    with pytest.raises(Unauthenticated, match="ended"):
        await sessions.refresh(thief.refresh_token)


async def test_a_thief_that_refreshed_twice_is_noticed_at_once(logins: Logins, sessions: Sessions) -> None:
    session = await logins.by_secret(new_secret(), PHONE, ADDRESS)
    thief = await sessions.refresh(session.refresh_token)
    thief = await sessions.refresh(thief.refresh_token)
    with pytest.raises(Unauthenticated, match="used before"):
        await sessions.refresh(session.refresh_token)
    with pytest.raises(Unauthenticated, match="ended"):
        await sessions.refresh(thief.refresh_token)


async def test_a_session_that_was_silent_for_too_long_is_over(
    logins: Logins, sessions: Sessions, database: Database
) -> None:
    session = await logins.by_secret(new_secret(), PHONE, ADDRESS)
    await grow_old(database, session, refresh_tokens.TTL)
    with pytest.raises(Unauthenticated, match="expired"):
        await sessions.refresh(session.refresh_token)
    assert await count(database, t.session, session.user_id) == 0


async def test_expired_sessions_of_those_who_stay_away_are_swept(
    logins: Logins, sessions: Sessions, database: Database
) -> None:
    gone, here = [await logins.by_secret(new_secret(), PHONE, ADDRESS) for _ in range(2)]
    await grow_old(database, gone, refresh_tokens.TTL)
    sweeping = asyncio.create_task(sessions.sweep())
    try:
        async with asyncio.timeout(20):
            while await count(database, t.session, gone.user_id):
                await asyncio.sleep(0.01)
    finally:
        sweeping.cancel()
    assert await count(database, t.session, here.user_id) == 1


async def test_logging_out_ends_the_session_and_twice_is_no_error(logins: Logins, sessions: Sessions) -> None:
    session = await logins.by_secret(new_secret(), PHONE, ADDRESS)
    await sessions.end(session.refresh_token)
    await sessions.end(session.refresh_token)
    with pytest.raises(Unauthenticated, match="ended"):
        await sessions.refresh(session.refresh_token)
    with pytest.raises(Unauthenticated, match="malformed"):
        await sessions.end("nonsense")


async def test_of_too_many_sessions_the_one_that_was_silent_longest_goes(
    logins: Logins, sessions: Sessions, database: Database
) -> None:
    secret = new_secret()
    oldest, second = [await logins.by_secret(secret, PHONE, ADDRESS) for _ in range(2)]
    await grow_old(database, oldest, timedelta(days=2))
    await grow_old(database, second, timedelta(days=1))
    await sessions.refresh(oldest.refresh_token)
    for _ in range(SESSIONS_MAX - 1):
        await logins.by_secret(secret, PHONE, ADDRESS)
    assert await count(database, t.session, oldest.user_id) == SESSIONS_MAX
    with pytest.raises(Unauthenticated, match="ended"):
        await sessions.refresh(second.refresh_token)


async def test_of_too_many_devices_one_without_a_session_is_forgotten(
    logins: Logins, database: Database, ada: str
) -> None:
    user_id = (await logins.by_password(ada, PASSWORD, PHONE, ADDRESS)).user_id
    rows = [{"account_id": user_id, "device_id": f"device-{number}", "name": ""} for number in range(DEVICES_MAX)]
    await database.write(lambda connection: connection.execute(sa.insert(t.device), rows))
    await logins.by_password(ada, PASSWORD, TABLET, ADDRESS)
    assert await count(database, t.device, user_id) == DEVICES_MAX
    kept = sa.select(t.device.c.name).where(t.device.c.account_id == user_id, t.device.c.name != "")
    names = await database.read(lambda connection: connection.execute(kept))
    assert set(names.scalars()) == {"Phone", "Tablet"}


async def test_a_new_password_ends_all_sessions_of_the_old_one(logins: Logins, sessions: Sessions, ada: str) -> None:
    session = await logins.by_password(ada, PASSWORD, PHONE, ADDRESS)
    with pytest.raises(AlreadyExists):
        await logins.set_user(ada.lower(), "another horse", replace=False)
    assert await sessions.refresh(session.refresh_token)
    user = await logins.set_user(ada.lower(), "another horse", replace=True)
    assert (user.user_id, user.created) == (session.user_id, False)
    with pytest.raises(Unauthenticated):
        await logins.by_password(ada, PASSWORD, PHONE, ADDRESS)
    assert await logins.by_password(ada, "another horse", PHONE, ADDRESS)
    with pytest.raises(Unauthenticated, match="ended"):
        await sessions.refresh(session.refresh_token)


async def test_hashes_of_older_parameters_are_renewed_by_the_next_login(
    database: Database, sessions: Sessions, logins: Logins, ada: str
) -> None:
    strong = Passwords()
    metrics = SessionMetrics(CollectorRegistry())
    stronger = Logins(database, sessions, strong, new_id, time.monotonic, metrics)
    user_id = (await stronger.by_password(ada, PASSWORD, PHONE, ADDRESS)).user_id
    statement = sa.select(t.account.c.password_hash).where(t.account.c.id == user_id)
    renewed = await database.read(lambda connection: connection.scalar(statement))
    assert not strong.is_outdated(renewed)
    assert "m=19456,t=2,p=1" in renewed
    assert await stronger.by_password(ada, PASSWORD, PHONE, ADDRESS)
    strong.close()


async def test_the_database_holds_nothing_that_logs_in(logins: Logins, database: Database, ada: str) -> None:
    secret = new_secret()
    mine, yours = (
        await logins.by_password(ada, PASSWORD, PHONE, ADDRESS),
        await logins.by_secret(secret, PHONE, ADDRESS),
    )
    held = ""
    for table in (t.account, t.session, t.device):
        rows = await database.read(lambda connection, table=table: connection.execute(sa.select(table)))
        held += str(rows.all())
    for kept_secret in (PASSWORD, secret, mine.refresh_token, mine.access_token, yours.refresh_token):
        assert kept_secret not in held
