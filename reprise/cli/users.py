"""Users of a mesh, as operators make them. Signs in with the mesh's operator key."""

import json
import sys

import grpc

from reprise import rpc
from reprise.catalog.v1.catalog_service_pb2 import SetUserRequest
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogAdminServiceStub
from reprise.cli import mesh_file, operator
from reprise.cli.folder import Folder

DEADLINE_S = 10


async def set_user(folder: Folder, name: str, password: str, *, replace: bool, as_json: bool) -> None:
    """Makes a user, or with `replace` sets the password of one. Raises `reprise.errors`."""
    mesh = mesh_file.read(folder)
    request = SetUserRequest(name=name, password=password, replace=replace)
    metadata = rpc.bearer_metadata(operator.token(folder))
    async with rpc.channel(mesh.catalog.grpc) as channel:
        try:
            answer = await CatalogAdminServiceStub(channel).SetUser(request, metadata=metadata, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise rpc.error_of(error, f"catalog {mesh.catalog.grpc}") from None
    if as_json:
        value = {"user_id": answer.user_id, "name": name, "created": answer.created}
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    else:
        done = "is a user now" if answer.created else "has another password, and no session any more"
        sys.stdout.write(f"{name} {done}\n")
