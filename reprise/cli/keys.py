"""The secrets of a mesh: made once, in files that only their owner can read, one file per thing that a process may know."""

import secrets
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reprise.cli.folder import Folder, write_whole
from reprise.grants import derive_key

MESH_KEY = "mesh.key"
OPERATOR_KEY = "operator.key"
MANIFEST_KEY = "manifest.key"
MANIFEST_PUBLIC = "manifest.pub"
SESSION_KEY = "session.key"
SESSION_PUBLIC = "session.pub"
S3_CREDENTIALS = "s3.credentials"
POSTGRES_PASSWORD = "postgres.password"  # noqa: S105 - a file's name
VALKEY_PASSWORD = "valkey.password"  # noqa: S105 - a file's name
S3_ACCESS_KEY = "reprise"


def edge_key_name(edge_id: str) -> str:
    """The file of an edge's own key."""
    return f"edge-{edge_id}.key"


def create(folder: Folder, edge_ids: Sequence[str]) -> None:
    """Makes what is missing; what is there stays, or every grant and stored password would become worthless."""
    mesh_key = bytes.fromhex(_keep(folder, MESH_KEY, lambda: secrets.token_hex(32)))
    _keep(folder, OPERATOR_KEY, lambda: derive_key(mesh_key, "operator").hex())
    for edge_id in edge_ids:
        _keep(folder, edge_key_name(edge_id), derive_key(mesh_key, edge_id).hex)
    _keep_pair(folder, MANIFEST_KEY, MANIFEST_PUBLIC)
    _keep_pair(folder, SESSION_KEY, SESSION_PUBLIC)
    _keep(folder, S3_CREDENTIALS, lambda: f"{S3_ACCESS_KEY}\n{secrets.token_hex(20)}")
    _keep(folder, POSTGRES_PASSWORD, lambda: secrets.token_hex(20))
    _keep(folder, VALKEY_PASSWORD, lambda: secrets.token_hex(20))


def read(folder: Folder, name: str) -> str:
    """The content of a secret's file."""
    return folder.secret(name).read_text().strip()


def _keep_pair(folder: Folder, private_name: str, public_name: str) -> None:
    private = _keep(folder, private_name, lambda: Ed25519PrivateKey.generate().private_bytes_raw().hex())
    public = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private)).public_key().public_bytes_raw()
    _keep(folder, public_name, public.hex)


def _keep(folder: Folder, name: str, make: Callable[[], str]) -> str:
    if not folder.secret(name).exists():
        write_whole(folder.secret(name), make() + "\n")
    return read(folder, name)
