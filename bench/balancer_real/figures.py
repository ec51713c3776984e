"""What the edges of the real mesh say of themselves."""

import asyncio
import re
import urllib.request

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.cli import operator
from reprise.cli.folder import Folder
from reprise.cli.mesh_file import Mesh
from reprise.errors import Unavailable

_REQUESTS = re.compile(r'^reprise_edge_requests_total\{door="http",result="(\w+)"\} (\S+)$', re.MULTILINE)
WHOLE_S_MAX = 120.0


async def fetches(mesh: Mesh) -> int:
    """Requests of listeners for which an edge had to fetch, since the start."""
    pages = await asyncio.gather(*(asyncio.to_thread(_page, edge.http) for edge in mesh.edges))
    counts = [(result, int(float(count))) for page in pages for result, count in _REQUESTS.findall(page)]
    return sum(count for result, count in counts if result in ("leader", "peer"))


async def wait_whole(folder: Folder, mesh: Mesh) -> None:
    """Until the balancer gives every edge its full share: who joined lately is spared. Raises Unavailable."""
    metadata = rpc.bearer_metadata(operator.token(folder))
    for _ in range(int(WHOLE_S_MAX)):
        known = await operator.ask(mesh, lambda stub: stub.GetMesh(messages.GetMeshRequest(), metadata=metadata))
        ramps = [edge.ramp for edge in known.edges if edge.state == messages.EdgeState.EDGE_STATE_READY]
        if len(ramps) == len(mesh.edges) and min(ramps) >= 1:
            return
        await asyncio.sleep(1)
    raise Unavailable(f"not every edge has its full share after {WHOLE_S_MAX:.0f} s: {ramps}")


def _page(http: str) -> str:
    with urllib.request.urlopen(f"{http}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text
