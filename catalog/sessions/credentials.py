"""What a login may look like: names, passwords, devices and their secrets. Pure. No error repeats a secret."""

import re
import unicodedata

from reprise.errors import InvalidRequest

NAME_CHARS_MAX = 64
PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX = 8, 256
DEVICE_NAME_CHARS_MAX = 64
_SECRET = re.compile(r"[A-Za-z0-9_-]{32,128}\Z")


def name_key(name: str) -> str:
    """By what names are compared: without case, width and marks. Apart from search's normaliser, which may change."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(char for char in folded if not unicodedata.combining(char)).split())


def check_name(name: str) -> str:
    """The name of an account, without spaces around it. Raises InvalidRequest."""
    stripped = name.strip()
    if not 1 <= len(stripped) <= NAME_CHARS_MAX or not stripped.isprintable() or not name_key(stripped):
        raise InvalidRequest(f"name must be 1 to {NAME_CHARS_MAX} printable characters, not {name[:80]!r}")
    return stripped


def check_password(password: str) -> str:
    """As it is hashed: keyboards send the same letter in different ways. Raises InvalidRequest."""
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        raise InvalidRequest(
            f"password must have {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters, not {len(password)}"
        )
    return unicodedata.normalize("NFKC", password)


def check_secret(secret: str) -> str:
    if not _SECRET.match(secret):
        raise InvalidRequest("secret must be 32 to 128 of A-Z a-z 0-9 _ -")
    return secret


def check_device_name(name: str) -> str:
    stripped = name.strip()
    if len(stripped) > DEVICE_NAME_CHARS_MAX or not stripped.isprintable():
        raise InvalidRequest(
            f"device_name must be at most {DEVICE_NAME_CHARS_MAX} printable characters, not {name[:80]!r}"
        )
    return stripped
