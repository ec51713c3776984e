"""Plain HTTP: a link that plays a song in anything that follows redirects, and a page that says what this is."""

from urllib.parse import parse_qsl

from balancer import steering
from balancer.listeners import Listeners
from balancer.metrics import BalancerMetrics
from balancer.routing import Router, SongRoute
from balancer.steering import STEERING_PREFIX, Pathway
from balancer.want import Want, checked
from reprise.clients import Clients
from reprise.errors import InvalidRequest
from reprise.http_message import Request, Response, json_response, text_response
from reprise.types.v1.types_pb2 import Codec

PLAY_PREFIX = "/play/"
_CODECS = {"opus": Codec.CODEC_OPUS, "aac": Codec.CODEC_AAC, "flac": Codec.CODEC_FLAC}
_MAX_KBPS = 1_000_000
# What a steering manifest's next address repeats.
_WISHES = ("codec", "max_kbps", "region")
_INDEX = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reprise</title>
<h1>Reprise</h1>
<p>This is the balancer of a Reprise music mesh. It sends listeners to the edge that should play a song to them.</p>
<p>Find a song with <code>reprise search WORDS</code>; then play it with <code>reprise play SONG</code>, or open
<code>/play/SONG</code> here in any player. Add <code>?codec=opus</code>, <code>aac</code> or <code>flac</code>,
<code>max_kbps=128</code> or <code>region=NAME</code> to choose.</p>
</html>
"""


class Pages:
    """Handlers for `reprise.http_server`; an error that they raise becomes plain text there."""

    def __init__(self, router: Router, clients: Clients, listeners: Listeners, metrics: BalancerMetrics) -> None:
        self._router = router
        self._clients = clients
        self._listeners = listeners
        self._steered = metrics.steered

    async def play(self, request: Request) -> Response:
        """`GET|HEAD /play/<song_id>`: 307 to the best edge. Another listener may get another, so nothing may store it."""
        session_id = self._listeners.of_request(request)
        want = want_of(request, self._clients.of_request(request), session_id=session_id)
        routed = await self._router.route(want)
        url = routed.routes[0].candidates[0].media_url
        moved = text_response(307, f"the song is at {url}", (("location", url), ("cache-control", "no-store")))
        return without_body(moved) if request.method == "HEAD" else moved

    async def steer(self, request: Request) -> Response:
        """`GET /steering/<song_id>`: where an HLS player should read the song from, with what it said of itself."""
        asked = _asked(request)
        playing = asked.get("_HLS_pathway", "").strip('"')
        address = self._clients.of_request(request)
        session_id = self._listeners.of_request(request, asked.get("session", ""))
        want = want_of(request, address, STEERING_PREFIX, session_id, playing)
        routed = await self._router.route(want)
        route = routed.routes[0]
        # The same session next time: what is chosen by it then stays.
        wishes = {name: asked[name] for name in _WISHES if name in asked} | {"session": routed.session_id}
        manifest = steering.manifest(route.song_id, _pathways(route), playing, wishes)
        self._steered.labels(_way(playing, route)).inc()
        answer = json_response(200, manifest, (("cache-control", "no-store"), ("access-control-allow-origin", "*")))
        return without_body(answer) if request.method == "HEAD" else answer

    def index(self, request: Request) -> Response:
        """`GET /`."""
        page = Response(200, (("content-type", "text/html; charset=utf-8"), ("cache-control", "no-cache")), _INDEX)
        return without_body(page) if request.method == "HEAD" else page


def want_of(
    request: Request, address: str, prefix: str = PLAY_PREFIX, session_id: str = "", playing_edge_id: str = ""
) -> Want:
    """What a song's URL asks for; raises InvalidRequest that names the parameter. Unknown parameters say nothing."""
    asked = _asked(request)
    codec = asked.get("codec", "")
    if codec and codec not in _CODECS:
        raise InvalidRequest(f"codec must be opus, aac or flac, not {codec[:40]!r}")
    kbps = asked.get("max_kbps", "")
    if kbps and not (kbps.isascii() and kbps.isdigit() and 0 < len(kbps) < 8 and 0 < int(kbps) <= _MAX_KBPS):
        raise InvalidRequest(f"max_kbps must be a whole number from 1 to {_MAX_KBPS}, not {kbps[:40]!r}")
    return checked(
        song_ids=[request.path.removeprefix(prefix)],
        codecs=[_CODECS[codec]] if codec else [],
        bitrate_bps_max=int(kbps or 0) * 1000,
        region=asked.get("region", ""),
        session_id=session_id,
        playing_edge_id=playing_edge_id,
        address=address,
    )


def _asked(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.query, keep_blank_values=True))


def _pathways(route: SongRoute) -> tuple[Pathway, ...]:
    rendition_id = route.rendition.rendition_id
    return tuple(Pathway(one.edge.edge_id, rendition_id, one.media_url) for one in route.candidates)


def _way(playing_edge_id: str, route: SongRoute) -> str:
    if not playing_edge_id:
        return "start"
    return "kept" if route.candidates[0].edge.edge_id == playing_edge_id else "moved"


def without_body(response: Response) -> Response:
    """The answer to HEAD."""
    assert isinstance(response.body, bytes)
    return Response(response.status, response.headers, b"", content_length=len(response.body))
