"""Logging in: with a name and a password, or as a device that has no account; and accounts that operators make.

Says of a failed login neither whether the name exists nor, by the time it takes, lets anybody guess it.
"""

import hashlib
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.database import Database
from catalog.sessions import credentials
from catalog.sessions.attempts import LoginGuard
from catalog.sessions.issuing import Device, Session
from catalog.sessions.metrics import SessionMetrics
from catalog.sessions.passwords import Passwords
from catalog.sessions.sessions import Sessions
from reprise.errors import AlreadyExists, QuotaExceeded, Unauthenticated, Unavailable

_Row = sa.Row[Any]


@dataclass(frozen=True, slots=True)
class User:
    """An account that was set."""

    user_id: str
    created: bool


class Logins:
    """Makes sessions for who can show who they are."""

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        passwords: Passwords,
        new_id: Callable[[], uuid.UUID],
        clock: Callable[[], float],
        metrics: SessionMetrics,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._passwords = passwords
        self._new_id = new_id
        self._clock = clock
        self._metrics = metrics
        self._guard = LoginGuard()
        metrics.watch(lambda: passwords.under_way, lambda: len(self._guard))

    async def by_password(self, name: str, password: str, device: Device, address: str) -> Session:
        """Raises Unauthenticated, QuotaExceeded or Unavailable."""
        return await self._counted("password", self._by_password(credentials.name_key(name), password, device, address))

    async def by_secret(self, secret: str, device: Device, address: str) -> Session:
        """The session of the listener that this secret stands for; a new one when nobody has it. Raises likewise."""
        return await self._counted("device", self._by_secret(_digest_of(secret), device, address))

    async def set_user(self, name: str, password: str, *, replace: bool) -> User:
        """Makes an account, or sets its password and ends its sessions. Raises AlreadyExists or Unavailable."""
        hashed, new_id = await self._passwords.hash(password), self._new_id()

        async def work(connection: AsyncConnection) -> User | None:
            key = credentials.name_key(name)
            row = insert(t.account).values(id=new_id, name=name, name_key=key, password_hash=hashed)
            made = row.on_conflict_do_nothing(index_elements=["name_key"]).returning(t.account.c.id)
            if (await connection.execute(made)).one_or_none():
                return User(str(new_id), created=True)
            account = await _locked(connection, t.account.c.name_key == key)
            assert account is not None, "accounts are never deleted"
            if account.id == new_id:  # the work runs once more, after an answer that was lost
                return User(str(new_id), created=True)
            if not replace:
                return None
            await _set_hash(connection, account.id, hashed)
            await self._sessions.end_all(connection, account.id)
            return User(str(account.id), created=False)

        user = await self._database.write(work)
        if user is None:
            raise AlreadyExists(f"there is a user {name!r}: set `replace` to give another password")
        return user

    async def _by_password(self, name_key: str, password: str, device: Device, address: str) -> Session:
        self._guard.begin(name_key, address, self._clock())
        # By the server that writes: another might not know yet that a password was changed.
        account = await self._database.write(lambda connection: _find(connection, t.account.c.name_key == name_key))
        hashed = account.password_hash if account else None
        if not await self._passwords.verify(password, hashed) or account is None or hashed is None:
            raise Unauthenticated("unknown name or wrong password")
        fresh = await self._passwords.hash(password) if self._passwords.is_outdated(hashed) else None
        session = await self._database.write(lambda c: self._open(c, account.id, hashed, fresh, device))
        self._guard.succeeded(name_key, address)
        return session

    async def _open(
        self, connection: AsyncConnection, account_id: uuid.UUID, verified: str, fresh: str | None, device: Device
    ) -> Session:
        account = await _locked(connection, t.account.c.id == account_id)
        if account is None or account.password_hash not in (verified, fresh):
            # It was set while this login was verified: the one that ends sessions must not miss a session made by the old one.
            raise Unavailable("the password is being changed: try again", retry_after_s=1)
        if fresh is not None:
            await _set_hash(connection, account_id, fresh)
        return await self._sessions.open(connection, account_id, device)

    async def _by_secret(self, digest: bytes, device: Device, address: str) -> Session:
        has_secret = t.account.c.device_secret_digest == digest
        if await self._database.read(lambda connection: _find(connection, has_secret)) is None:
            self._guard.begin_listener(address, self._clock())
        new_id = self._new_id()

        async def work(connection: AsyncConnection) -> Session:
            row = insert(t.account).values(id=new_id, device_secret_digest=digest)
            await connection.execute(row.on_conflict_do_nothing(index_elements=["device_secret_digest"]))
            account = await _locked(connection, has_secret)
            assert account is not None, "accounts are never deleted"
            if not await _may_use(connection, account.id, device.device_id):
                raise Unauthenticated("the secret is another device's: make one of your own")
            return await self._sessions.open(connection, account.id, device)

        return await self._database.write(work)

    async def _counted(self, way: str, login: Coroutine[Any, Any, Session]) -> Session:
        try:
            session = await login
        except (Unauthenticated, QuotaExceeded, Unavailable) as refusal:
            self._metrics.logins.labels(way, _OUTCOMES[type(refusal)]).inc()
            raise
        self._metrics.logins.labels(way, "accepted").inc()
        return session


_OUTCOMES: dict[type[Exception], str] = {
    Unauthenticated: "refused",
    QuotaExceeded: "paused",
    Unavailable: "unavailable",
}


def _digest_of(secret: str) -> bytes:
    """The secret is 128 random bits and more, so there is nothing to slow down a guess at."""
    return hashlib.sha256(secret.encode()).digest()


async def _find(connection: AsyncConnection, condition: sa.ColumnElement[bool]) -> _Row | None:
    return (await connection.execute(sa.select(t.account).where(condition))).one_or_none()


async def _locked(connection: AsyncConnection, condition: sa.ColumnElement[bool]) -> _Row | None:
    return (await connection.execute(sa.select(t.account).where(condition).with_for_update())).one_or_none()


async def _set_hash(connection: AsyncConnection, account_id: uuid.UUID, hashed: str) -> None:
    await connection.execute(sa.update(t.account).where(t.account.c.id == account_id).values(password_hash=hashed))


async def _may_use(connection: AsyncConnection, account_id: uuid.UUID, device_id: str) -> bool:
    """A device's secret opens its own listener, from that device only."""
    statement = sa.select(t.device.c.device_id).where(t.device.c.account_id == account_id)
    known = set((await connection.execute(statement)).scalars())
    return not known or device_id in known
