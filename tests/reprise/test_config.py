"""Settings: defaults, then TOML, then the environment; whatever is wrong is named with its place."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from reprise import config
from reprise.config import ConfigError


@dataclass(frozen=True, kw_only=True)
class Settings:
    name: str
    count: int = 3
    share: float = 0.5
    strict: bool = False
    folder: Path = Path("/var/lib/reprise")
    peers: tuple[str, ...] = ()
    limit: int | None = None


def load(environ: dict[str, str], toml: Path | None = None) -> Settings:
    return config.load(Settings, "edge_node", toml, environ)


def test_every_type_is_read_from_the_environment() -> None:
    environ = {"NAME": "e1", "COUNT": "7", "SHARE": "0.25", "STRICT": "yes", "FOLDER": "/data", "PEERS": " a:1, b:2 ,"}
    settings = load({f"REPRISE_EDGE_NODE_{key}": value for key, value in environ.items()})
    assert settings == Settings(
        name="e1", count=7, share=0.25, strict=True, folder=Path("/data"), peers=("a:1", "b:2"), limit=None
    )


def test_every_type_is_read_from_toml(tmp_path: Path) -> None:
    toml = tmp_path / "edge.toml"
    toml.write_text('name = "e1"\ncount = 7\nshare = 1\nstrict = true\nfolder = "/d"\npeers = ["a", "b"]\nlimit = 9\n')
    expected = Settings(name="e1", count=7, share=1.0, strict=True, folder=Path("/d"), peers=("a", "b"), limit=9)
    assert load({}, toml) == expected


def test_the_environment_wins_over_toml_and_toml_over_the_default(tmp_path: Path) -> None:
    toml = tmp_path / "edge.toml"
    toml.write_text('name = "file"\ncount = 1\n')
    settings = load({"REPRISE_EDGE_NODE_COUNT": "2"}, toml)
    assert (settings.name, settings.count, settings.share) == ("file", 2, 0.5)


def test_variables_of_other_services_are_not_ours() -> None:
    assert load({"REPRISE_EDGE_NODE_NAME": "e1", "REPRISE_ORIGIN_COUNT": "9", "COUNT": "9"}).count == 3


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("COUNT", "many", "REPRISE_EDGE_NODE_COUNT must be int, not 'many'"),
        ("COUNT", "1.5", "REPRISE_EDGE_NODE_COUNT must be int, not '1.5'"),
        ("SHARE", "half", "REPRISE_EDGE_NODE_SHARE must be float, not 'half'"),
        ("SHARE", "nan", "REPRISE_EDGE_NODE_SHARE must be float, not 'nan'"),
        ("STRICT", "maybe", "REPRISE_EDGE_NODE_STRICT must be bool, not 'maybe'"),
        ("LIMIT", "x", "REPRISE_EDGE_NODE_LIMIT must be int, not 'x'"),
    ],
)
def test_a_malformed_variable_is_named_with_its_value(field: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load({"REPRISE_EDGE_NODE_NAME": "e1", f"REPRISE_EDGE_NODE_{field}": value})


def test_an_empty_optional_variable_means_none() -> None:
    assert load({"REPRISE_EDGE_NODE_NAME": "e1", "REPRISE_EDGE_NODE_LIMIT": ""}).limit is None


def test_a_missing_setting_is_named_with_its_variable() -> None:
    with pytest.raises(ConfigError, match="'name' is missing: set REPRISE_EDGE_NODE_NAME"):
        load({})


def test_an_unknown_setting_is_named_with_the_known_ones(tmp_path: Path) -> None:
    toml = tmp_path / "edge.toml"
    toml.write_text('nmae = "e1"\n')
    with pytest.raises(ConfigError, match=r"edge\.toml: unknown setting 'nmae'; known: count, folder"):
        load({}, toml)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = [", "is not TOML"),
        ("name = 5", "name must be str, not 5"),
        ('name = "e"\npeers = "a"', None),
        ('name = "e"\npeers = 5', "peers must be a list of texts, not 5"),
        ('name = "e"\npeers = [5]', "peers must be a list of texts"),
        ('name = "e"\ncount = 2.5', "count must be int, not 2.5"),
        ('name = "e"\ncount = true', "count must be int, not True"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str, complaint: str | None) -> None:
    toml = tmp_path / "edge.toml"
    toml.write_text(text)
    if complaint is None:
        assert load({}, toml).peers == ("a",)
        return
    with pytest.raises(ConfigError, match=complaint):
        load({}, toml)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml: No such file"):
        load({}, tmp_path / "none.toml")


def test_a_path_may_start_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert load({"REPRISE_EDGE_NODE_NAME": "e", "REPRISE_EDGE_NODE_FOLDER": "~/x"}).folder == Path("/home/ann/x")


def test_a_secret_loses_its_line_end_and_a_missing_one_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "mesh.key"
    secret.write_bytes(b"ab\n")
    assert config.read_secret(secret, "mesh_key_path") == b"ab"
    with pytest.raises(ConfigError, match="mesh_key_path: cannot read"):
        config.read_secret(tmp_path / "other", "mesh_key_path")
