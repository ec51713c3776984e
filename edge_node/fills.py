"""Starts the fills of a node that reads from upstream itself."""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_node.fill import Fill
from edge_node.live import Live
from edge_node.node import Node
from edge_node.sources import PeerSource, Source, order
from edge_node.upstream import Upstream


class UpstreamFills:
    """`keys` verify the manifests that upstream gives."""

    def __init__(self, upstream: Upstream, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._upstream = upstream
        self._keys = keys

    def start(self, node: Node, live: Live, fill_id: int, hops: int) -> str:
        """Returns "peer" when the first source is another edge, else "leader"."""

        def sources() -> list[Source]:
            config = node.config
            return order(live.rendition_id, config.own, list(node.view.peers), config.origins, hops)

        fill = Fill(self._upstream, node.metrics, self._keys, sources, lambda: node.view.epoch)
        node.start_task(fill.run(live, fill_id), f"fill.{live.rendition_id[:8]}.{fill_id}")
        first = next(iter(sources()), None)
        return "peer" if isinstance(first, PeerSource) else "leader"
