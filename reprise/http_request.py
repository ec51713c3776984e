"""Bytes in, requests out: the receiving half of a connection, on httptools. No sockets, no clock.

What is no request, or too much of one, comes out as a Response to answer with; nothing after it can be read.
"""

from urllib.parse import unquote

import httptools

from reprise.http_message import RawHeaders, Request, Response, text_response

# A parsed request with its keep-alive, or the refusal of what could not be parsed.
Parsed = tuple[Request, bool] | Response


class _Refused(Exception):
    """Raised in a parser callback: the request is answered with `response` and the connection ends."""

    def __init__(self, response: Response) -> None:
        self.response = response


class RequestParser:
    """Feeds bytes to llhttp and bounds what a request may hold: `head_bytes_max` and `body_bytes_max`."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_body_bytes_max",
        "_done",
        "_head_bytes_max",
        "_headers",
        "_llhttp",
        "_peer",
        "_says_connection",
        "_url",
        "between",
        "expects_continue",
        "received_bytes",
    )

    def __init__(self, peer: str, head_bytes_max: int, body_bytes_max: int) -> None:
        self._peer = peer
        self._head_bytes_max = head_bytes_max
        self._body_bytes_max = body_bytes_max
        self._llhttp = httptools.HttpRequestParser(self)
        self._done: list[Parsed] = []
        # Of the request that is not complete yet; 0 between requests.
        self.received_bytes = 0
        self.expects_continue = False
        self.on_message_begin()
        # No part of a request is here.
        self.between = True

    def feed(self, data: bytes) -> list[Parsed]:
        """The requests that `data` completes. After a Response in the list, or a keep-alive of False, feed no more."""
        self._done = []
        self.received_bytes += len(data)
        try:
            self._llhttp.feed_data(data)
            if self.received_bytes > self._head_bytes_max + self._body_bytes_max:
                raise _Refused(text_response(431, f"the request head is over {self._head_bytes_max} bytes"))
        except httptools.HttpParserUpgrade:
            # We speak HTTP/1.1 only: the request is answered as such, and nothing after it can be trusted to be HTTP.
            if self._done and isinstance(self._done[-1], tuple):
                self._done[-1] = (self._done[-1][0], False)
        except (httptools.HttpParserError, _Refused) as error:
            cause = error if isinstance(error, _Refused) else error.__context__
            known = isinstance(cause, _Refused)
            self._done.append(cause.response if known else text_response(400, "this is not an HTTP/1.1 request"))  # type: ignore[union-attr]
        return self._done

    # Callbacks of httptools; what they raise comes out of `feed_data` as the context of its own error.

    def on_message_begin(self) -> None:
        self.between = False
        self._url = b""
        self._headers: RawHeaders = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._says_connection = False

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._head_bytes_max:
            raise _Refused(text_response(414, f"the URL is over {self._head_bytes_max} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        # Compared by length first: this runs for every header of every request.
        if len(name) == 14 and name.lower() == b"content-length":
            self._check_announced(value)
        elif len(name) == 6 and name.lower() == b"expect":
            self.expects_continue = value.lower() == b"100-continue"
        elif len(name) == 10 and name.lower() == b"connection":
            self._says_connection = True
        if self.received_bytes > self._head_bytes_max and not self._body:
            self._check_head_size()

    def _check_head_size(self) -> None:
        size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)
        if size > self._head_bytes_max:
            raise _Refused(text_response(431, f"the request head is over {self._head_bytes_max} bytes"))

    def _check_announced(self, length: bytes) -> None:
        if length.isdigit() and int(length) > self._body_bytes_max:
            announced = length[:20].decode()
            raise _Refused(text_response(413, f"a body may have {self._body_bytes_max} bytes, not {announced}"))

    def on_body(self, data: bytes) -> None:
        self._body.append(data)
        self._body_bytes += len(data)
        if self._body_bytes > self._body_bytes_max:
            raise _Refused(text_response(413, f"a body may have {self._body_bytes_max} bytes"))

    def on_message_complete(self) -> None:
        raw, _, query = self._url.partition(b"?")
        if not raw.startswith(b"/") and raw != b"*":
            raw, query = _from_absolute(self._url)
        path = raw.decode("latin-1")
        method = self._llhttp.get_method()
        request = Request(
            "GET" if method == b"GET" else method.decode("latin-1"),
            unquote(path) if "%" in path else path,
            query.decode("latin-1") if query else "",
            self._headers,
            b"".join(self._body) if self._body else b"",
            self._peer,
        )
        keep_alive = self._llhttp.should_keep_alive()
        if self._says_connection:
            # llhttp would keep an HTTP/1.0 connection that asks for it; we end all of them.
            keep_alive = keep_alive and self._llhttp.get_http_version() == "1.1"
        self._done.append((request, keep_alive))
        self.between = True
        self.received_bytes = 0
        self.expects_continue = False


def _from_absolute(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of an absolute-form target (RFC 9112, 3.2.2)."""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        raise _Refused(text_response(400, "the request target is not a URL")) from None
    return parsed.path or b"/", parsed.query or b""
