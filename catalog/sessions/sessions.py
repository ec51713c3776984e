"""Sessions in the database: opened by a login, kept by refreshes, gone when they end.

A row is a session that may be refreshed; what ended has none. Its lock puts refreshes in order: of two with the same token one
rotates it, and the other finds that out and gives the same answer (`refresh_tokens`).
"""

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.database import Database
from catalog.sessions import refresh_tokens
from catalog.sessions.issuing import Device, Issuer, Session
from catalog.sessions.metrics import SessionMetrics
from catalog.sessions.refresh_tokens import SECRET_BYTES, Kept, Verdict
from reprise.errors import Unauthenticated, Unavailable
from reprise.log import get_logger

log = get_logger()

# Of one account; the one that was silent longest goes.
SESSIONS_MAX = 50
DEVICES_MAX = 100
SWEEP_S = 600.0
SWEPT_MAX = 1_000
_now = sa.func.now()


class Sessions:
    """Opens, refreshes and ends sessions. `chance` gives that many random bytes."""

    def __init__(
        self,
        database: Database,
        issuer: Issuer,
        refresh_key: bytes,
        new_id: Callable[[], uuid.UUID],
        chance: Callable[[int], bytes],
        metrics: SessionMetrics,
    ) -> None:
        self._database = database
        self._issuer = issuer
        self._key = refresh_key
        self._new_id = new_id
        self._chance = chance
        self._metrics = metrics

    async def open(self, connection: AsyncConnection, account_id: uuid.UUID, device: Device) -> Session:
        """A new session, committed with `connection`, which holds the account's lock: so the bounds hold."""
        displaced = await _make_room(connection, account_id)
        if displaced:
            self._metrics.ended.labels("displaced").inc(displaced)
        await _note_device(connection, account_id, device)
        session_id = self._new_id()
        token = refresh_tokens.first(session_id, self._chance(SECRET_BYTES), self._key)
        row = sa.insert(t.session).values(
            id=session_id,
            account_id=account_id,
            device_id=device.device_id,
            refresh_digest=refresh_tokens.digest_of(token),
            expires_at=_now + refresh_tokens.TTL,
        )
        expires_at: datetime = (await connection.execute(row.returning(t.session.c.expires_at))).scalar_one()
        return self._issuer.issue(session_id, account_id, device.device_id, token, expires_at)

    async def refresh(self, token: str) -> Session:
        """Tokens for a refresh token. Raises Unauthenticated or Unavailable."""
        session_id = refresh_tokens.session_of(token, self._key)
        outcome, session = await self._database.write(lambda connection: self._refresh(connection, session_id, token))
        self._metrics.refreshes.labels(outcome).inc()
        if session is None:
            if outcome == Verdict.END:
                self._metrics.ended.labels(Verdict.END).inc()
                log.warning("refresh_token_reused", session_id=str(session_id))
            raise Unauthenticated(_REFUSALS[outcome])
        return session

    async def end(self, token: str) -> None:
        """Logs out. Raises Unauthenticated for what was never a token of ours, or Unavailable."""
        session_id = refresh_tokens.session_of(token, self._key)
        ended = await self._database.write(lambda connection: _delete(connection, t.session.c.id == session_id))
        self._metrics.ended.labels("logout").inc(ended)

    async def end_all(self, connection: AsyncConnection, account_id: uuid.UUID) -> None:
        """Ends every session of an account whose password changes."""
        self._metrics.ended.labels("password").inc(await _delete(connection, t.session.c.account_id == account_id))

    async def sweep(self) -> None:
        """Forgets expired sessions of those who do not come back, until cancelled."""
        while True:
            try:
                swept = await self._database.write(_sweep)
            except Unavailable:
                swept = 0
            self._metrics.ended.labels("expired").inc(swept)
            await asyncio.sleep(SWEEP_S if swept < SWEPT_MAX else 0)

    async def _refresh(
        self, connection: AsyncConnection, session_id: uuid.UUID, token: str
    ) -> tuple[str, Session | None]:
        found = sa.select(t.session, _now.label("now")).where(t.session.c.id == session_id).with_for_update()
        row = (await connection.execute(found)).one_or_none()
        if row is None:
            return "ended", None
        kept = Kept(row.refresh_digest, row.previous_digest, row.refreshed_at, row.expires_at)
        verdict = refresh_tokens.judge(kept, token, row.now)
        if verdict in (Verdict.END, Verdict.EXPIRED):
            await _delete(connection, t.session.c.id == session_id)
            return verdict, None
        following, expires_at = refresh_tokens.following(token, self._key), row.expires_at
        if verdict is Verdict.ROTATE:
            expires_at = await _rotate(connection, session_id, kept.digest, refresh_tokens.digest_of(following))
        return verdict, self._issuer.issue(session_id, row.account_id, row.device_id, following, expires_at)


_REFUSALS = {
    "ended": "the session has ended: log in again",
    Verdict.END: "the refresh token was used before, so somebody else may have it: the session is ended, log in again",
    Verdict.EXPIRED: "the session expired: log in again",
}


async def _rotate(connection: AsyncConnection, session_id: uuid.UUID, old: bytes, new: bytes) -> datetime:
    statement = (
        sa.update(t.session)
        .where(t.session.c.id == session_id)
        .values(previous_digest=old, refresh_digest=new, refreshed_at=_now, expires_at=_now + refresh_tokens.TTL)
        .returning(t.session.c.expires_at)
    )
    expires_at: datetime = (await connection.execute(statement)).scalar_one()
    return expires_at


async def _make_room(connection: AsyncConnection, account_id: uuid.UUID) -> int:
    """Ends what is over SESSIONS_MAX, less one for the session to come; how many that were."""
    own = t.session.c.account_id == account_id
    order = t.session.c.refreshed_at.desc()
    surplus = sa.select(t.session.c.id).where(own).order_by(order).offset(SESSIONS_MAX - 1)
    return await _delete(connection, t.session.c.id.in_(surplus))


async def _note_device(connection: AsyncConnection, account_id: uuid.UUID, device: Device) -> None:
    """Remembers the device's name; forgets devices over DEVICES_MAX, those without a session first."""
    row = insert(t.device).values(account_id=account_id, device_id=device.device_id, name=device.name)
    named = {"name": row.excluded.name, "seen_at": _now} if device.name else {"seen_at": _now}
    await connection.execute(row.on_conflict_do_update(index_elements=["account_id", "device_id"], set_=named))
    own = t.device.c.account_id == account_id
    in_use = sa.exists().where(t.session.c.account_id == account_id, t.session.c.device_id == t.device.c.device_id)
    order = (in_use.desc(), t.device.c.seen_at.desc())
    surplus = sa.select(t.device.c.device_id).where(own).order_by(*order).offset(DEVICES_MAX)
    await connection.execute(sa.delete(t.device).where(own, t.device.c.device_id.in_(surplus)))


async def _sweep(connection: AsyncConnection) -> int:
    over = t.session.c.expires_at < _now
    oldest = sa.select(t.session.c.id).where(over).limit(SWEPT_MAX).with_for_update(skip_locked=True)
    return await _delete(connection, t.session.c.id.in_(oldest))


async def _delete(connection: AsyncConnection, condition: sa.ColumnElement[bool]) -> int:
    return (await connection.execute(sa.delete(t.session).where(condition))).rowcount
