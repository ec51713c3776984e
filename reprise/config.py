"""Settings: a frozen dataclass per service, read from TOML, then from the environment, validated with the field named.

Supported field types: str, int, float, bool, pathlib.Path, and tuple[str, ...] (a comma-separated text in the environment).
Secrets are paths of files, never values.
"""

import dataclasses
import math
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from reprise.errors import InvalidRequest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

T = TypeVar("T")


class ConfigError(InvalidRequest):
    """A setting is unknown, missing or malformed; the message names it."""


def load(cls: type[T], service: str, toml_path: Path | None = None, environ: Mapping[str, str] = os.environ) -> T:
    """An instance of the dataclass `cls` for `service`: defaults, then the TOML table, then REPRISE_<SERVICE>_<FIELD>."""
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, object] = {}
    for name, value in _table(toml_path).items():
        if name not in fields:
            raise ConfigError(f"{toml_path}: unknown setting {name!r}; known: {', '.join(sorted(fields))}")
        values[name] = _convert(value, hints[name], f"{toml_path}: {name}")
    prefix = f"REPRISE_{service.upper()}_"
    for name in fields:
        text = environ.get(prefix + name.upper())
        if text is not None:
            values[name] = _convert(text, hints[name], prefix + name.upper())
    for name, field in fields.items():
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in values and not optional:
            raise ConfigError(f"setting {name!r} is missing: set {prefix}{name.upper()} or put it in the TOML file")
    return cls(**values)


def to_environment(settings: Any, service: str) -> dict[str, str]:
    """The variables from which `load` makes an equal instance: for a process that is started with the same settings."""
    prefix = f"REPRISE_{service.upper()}_"
    return {prefix + f.name.upper(): _text(getattr(settings, f.name)) for f in dataclasses.fields(settings)}


def _text(value: object) -> str:
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def read_secret(path: Path, what: str) -> bytes:
    """The content of a secret file, without the final newline."""
    try:
        return path.read_bytes().removesuffix(b"\n")
    except OSError as error:
        raise ConfigError(f"{what}: cannot read {path}: {error.strerror}") from None


def read_key(path: Path, what: str) -> bytes:
    """The key in a secret file: 32 bytes as 64 hex digits."""
    try:
        key = bytes.fromhex(read_secret(path, what).decode())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(f"{what}: {path} must hold 64 hex digits") from None
    return key


def read_public_keys(path: Path, what: str) -> "dict[str, Ed25519PublicKey]":
    """Ed25519 public keys by key id: a file with one key a line, 64 hex digits each."""
    # Only services verify; a command starts without it.
    from reprise.manifests import parse_public_keys

    try:
        keys = parse_public_keys(read_secret(path, what))
    except ValueError:
        keys = {}
    if not keys:
        raise ConfigError(f"{what}: {path} must hold keys of 64 hex digits, one a line")
    return keys


def _table(path: Path | None) -> dict[str, object]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _convert(value: object, hint: object, where: str) -> object:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = next(a for a in typing.get_args(hint) if a is not type(None))
        return None if value == "" else _convert(value, inner, where)
    try:
        return _CONVERT[hint](value)
    except (TypeError, ValueError, OverflowError):
        name = getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else "a list of texts"
        raise ConfigError(f"{where} must be {name}, not {value!r}") from None


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    table = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if str(value).lower() not in table:
        raise ValueError(value)
    return table[str(value).lower()]


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _number(kind: type[int] | type[float]) -> typing.Callable[[object], object]:
    def convert(value: object) -> object:
        # int() would cut a fraction off, and a bool is an int.
        if isinstance(value, bool) or not isinstance(value, (str, int, kind)):
            raise TypeError(value)
        number = kind(value)
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(value)
        return number

    return convert


def _texts(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list):
        raise TypeError(value)
    return tuple(text for part in parts if (text := _str(part).strip()))


_CONVERT: dict[object, typing.Callable[[typing.Any], object]] = {
    str: _str,
    int: _number(int),
    float: _number(float),
    bool: _bool,
    tuple[str, ...]: _texts,
    Path: lambda value: Path(_str(value)).expanduser(),
}
