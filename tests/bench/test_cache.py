"""bench/cache prints both comparisons, or says in one line that it lacks libCacheSim, which no development environment has."""

from importlib.util import find_spec

from tests.bench.test_smoke import run_bench, table_rows


def test_the_tables_are_printed_or_what_is_missing_is_named() -> None:
    ended = run_bench("cache", "--quick", "--plays=300", "--tracks=50")
    if find_spec("libcachesim") is None:
        assert ended.returncode == 1
        assert ended.stderr == (
            "bench.cache: libCacheSim is not installed: .venv/bin/pip install -e '.[bench]' (GPL; for this benchmark only)\n"
        )
        return
    assert ended.returncode == 0, ended.stderr
    mesh = [row for row in table_rows(ended.stdout) if len(row) == 11 and row[0].startswith("all ")]
    assert len(mesh) == 10
    assert all(0 < float(row[2]) <= 100 for row in mesh)
