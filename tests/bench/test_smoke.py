"""Every benchmark runs and prints its table. Nothing here says how fast anything has to be."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.origin.sound import write_song

ROOT = Path(__file__).parents[2]
COLUMN_X_ONE = 9


def run_bench(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-m", f"bench.{name}", *options)
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def table_rows(printed: str) -> list[list[str]]:
    """Cells of the table's rows, its heading and rule left out."""
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


needs_programs = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("wrk")), reason="needs nginx and wrk: apt install nginx-light wrk"
)


@needs_programs
def test_edge_prints_a_row_for_each_server_of_each_door(tmp_path: Path) -> None:
    written = tmp_path / "rows.json"
    options = (
        "--rounds=1",
        "--seconds=0.3",
        "--sizes=64k",
        "--connections=4",
        "--songs=2",
        "--song-bytes=300000",
        "--servers=nginx,reprise,bare",
    )
    ended = run_bench("edge", *options, f"--json={written}")
    assert ended.returncode == 0, ended.stderr
    rows = table_rows(ended.stdout)
    assert [(row[0], row[1], row[4]) for row in rows] == [
        ("http", "-", "nginx"),
        ("http", "-", "reprise"),
        ("http", "1.3", "nginx"),
        ("http", "1.3", "reprise"),
        ("grpc-web", "-", "reprise"),
        ("grpc-web", "1.3", "reprise"),
        ("grpc", "-", "bare"),
        ("grpc", "-", "reprise"),
        ("grpc", "1.3", "bare"),
        ("grpc", "1.3", "reprise"),
    ]
    assert all(row[-1] == "0" for row in rows), ended.stdout
    assert "TLSv1.3" in ended.stdout
    found = json.loads(written.read_text())
    assert all(row["requests_cpu_s"] > 0 and row["rss_mib"] > 0 for row in found["rows"])
    assert [row["x_nginx"] is not None for row in found["rows"]] == [False, True, False, True, True, True] + [False] * 4
    assert [len(sample["rounds"]) for sample in found["samples"]] == [1] * len(rows)


def test_storm_counts_what_the_dead_origin_and_the_other_one_gave() -> None:
    options = ("--rounds=1", "--clients=6", "--servers=reprise-x3", "--origin=dies", "--song-bytes=400000")
    ended = run_bench("storm", *options)
    assert ended.returncode == 0, ended.stderr
    (row,) = table_rows(ended.stdout)
    assert row[:4] == ["reprise-x3", "6", "dies", "2"], ended.stdout
    assert 1 <= float(row[4]) < 2
    assert row[10] == "0", ended.stdout


def test_storm_kills_the_home_edge_and_its_clients_go_on_elsewhere() -> None:
    options = ("--rounds=1", "--clients=6", "--servers=reprise-x1,reprise-x3", "--origin=home-dies")
    ended = run_bench("storm", *options, "--song-bytes=1500000")
    assert ended.returncode == 0, ended.stderr
    # A lone edge has nowhere to send its clients, so there is no such storm for it.
    (row,) = table_rows(ended.stdout)
    assert row[:3] == ["reprise-x3", "6", "home-dies"], ended.stdout
    errors, left, silence_ms = row[10], row[11], row[12]
    assert (errors, left) == ("0", "2"), ended.stdout
    assert silence_ms != "-", "nobody noticed that the edge died"


def test_listeners_are_all_served_without_errors() -> None:
    ended = run_bench("listeners", "--listeners=20", "--seconds=1")
    assert ended.returncode == 0, ended.stderr
    ((listeners, *rest),) = table_rows(ended.stdout)
    assert listeners == "20"
    assert rest[-1] == "0", ended.stdout


@needs_programs
def test_workers_prints_what_each_number_of_them_serves() -> None:
    options = ("--rounds=1", "--seconds=0.3", "--sizes=64k", "--connections=8", "--songs=2", "--song-bytes=300000")
    ended = run_bench("workers", "--cores=one", *options)
    assert ended.returncode == 0, ended.stderr
    one, two = table_rows(ended.stdout)
    assert (one[3], two[3]) == ("1", "2")
    assert float(two[COLUMN_X_ONE]) > 0
    assert (one[-1], two[-1]) == ("0", "0"), ended.stdout


@pytest.mark.parametrize("name", ["edge", "storm", "listeners", "workers"])
def test_a_wrong_option_gets_one_clear_line(name: str) -> None:
    wrong = {
        "workers": "--sizes=64x",
        "edge": "--sizes=64x",
        "storm": "--servers=squid",
        "listeners": "--listeners=none",
    }[name]
    ended = run_bench(name, wrong)
    assert ended.returncode == 2
    assert re.search(rf"error: argument {wrong.partition('=')[0]}: ", ended.stderr)
    assert "Traceback" not in ended.stderr


def test_the_script_names_the_benchmarks_that_there_are() -> None:
    ended = subprocess.run([ROOT / "scripts" / "bench", "nothing"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    for name in ("edge", "storm", "listeners", "workers"):
        assert name in ended.stderr


def test_floor_prints_a_row_for_each_way() -> None:
    ended = run_bench("floor", "--rounds=1", "--sizes=64k", "--connections=2")
    assert ended.returncode == 0, ended.stderr
    rows = table_rows(ended.stdout)
    assert [row[0] for row in rows] == ["64 KiB"] * 4
    assert len({row[2] for row in rows}) == 4


def test_route_prints_routes_and_what_they_are_made_of() -> None:
    ended = run_bench("route", "--rounds=1", "--seconds=0.3", "--edges=3", "--connections=2", "--doors=grpc")
    assert ended.returncode == 0, ended.stderr
    rows = table_rows(ended.stdout)
    assert [row[0] for row in rows] == ["grpc", "pick, in process", "order of a new song", "grant"]
    assert rows[0][-1] == "0", ended.stdout


def test_catalog_prints_a_table_for_each_of_its_questions(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    options = (
        "--songs=400",
        "--questions=6",
        "--rivals-every=1",
        "--pages=2",
        "--writes=20",
        "--new-songs=1",
        "--depths=100",
    )
    ended = run_bench("catalog", *options, f"--json={written}")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(written.read_text())
    assert {row["by"] for row in found["searched"]} == {"Reprise", "PostgreSQL pg_trgm", "SQLite FTS5 trigram"}
    exact = [
        row["recall_10"] for row in found["searched"] if (row["questions"], row["by"]) == ("whole name", "Reprise")
    ]
    assert exact == [1.0]
    assert {row["depth"] for row in found["browsed"]} == {0, 100}
    assert [row["written"] for row in found["written"]] == [20, 20]
    assert len(found["until_found_s"]) == 1
    assert "published until found" in ended.stdout


def test_ingest_finds_every_rendition_right_and_names_what_failed(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    write_song(music / "tone.wav", 2.0)
    (music / "broken.flac").write_bytes(b"fLaC and then nothing of use")
    ended = run_bench("ingest", str(music))
    assert ended.returncode == 0, ended.stderr + ended.stdout
    rows = table_rows(ended.stdout)
    assert [row[0] for row in rows] == ["AAC", "FLAC", "OPUS 160", "OPUS 96"]
    assert all((row[1], row[-2]) == ("1", "0") and int(row[-1]) <= 1 for row in rows), ended.stdout
    assert "2 files, 1 imported" in ended.stdout
    assert "failed: broken.flac: " in ended.stdout
