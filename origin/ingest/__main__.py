"""Imports music: `python -m origin.ingest PATH...`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from origin.ingest import ladder
from origin.ingest.importer import Importer
from origin.ingest.publish import Objects, Publisher
from origin.ingest.report import JsonReport, Report, Reports, Summary, TextReport
from origin.ingest.scan import find_audio
from origin.ingest.settings import Settings
from origin.ingest.watching import watch
from origin.ingest.worker_process import WorkerProcess
from reprise import config, manifests, rpc, rpc_tls, s3
from reprise.config import ConfigError
from reprise.errors import RepriseError

EXITS = """Exit code: 0 when files were imported or known already (failed ones are named with their reason), 1 when S3 or the
catalog failed or no file could be imported, 2 when an argument or setting is wrong, 130 when interrupted."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="origin.ingest",
        description="Imports audio files and folders. Repeat it freely: what is known is skipped.",
        epilog=EXITS,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="audio file or folder")
    parser.add_argument("--watch", action="store_true", help="go on: import what appears in the folders, until SIGTERM")
    parser.add_argument("--report", type=Path, metavar="FILE", help="append what --json tells to this file too")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="files transcoded at once (default: one a core)"
    )
    parser.add_argument(
        "--ladder", help="renditions to make, such as opus:96,opus:160,aac:128,flac (default: the setting)"
    )
    parser.add_argument("--limit", type=int, default=0, help="take only so many files (default: all)")
    parser.add_argument(
        "--release-at-unix-ms", type=int, default=0, help="nobody finds the songs' albums before (default: at once)"
    )
    parser.add_argument("--config", type=Path, help="TOML file; REPRISE_INGEST_<FIELD> in the environment wins over it")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one import."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.workers < 1 or arguments.limit < 0 or arguments.release_at_unix_ms < 0:
            raise ConfigError("--workers must be at least 1, --limit and --release-at-unix-ms not negative")
        settings = config.load(Settings, "ingest", arguments.config)
        files = find_audio(arguments.paths)
        with rpc_tls.trusting(settings.tls_ca_path):
            summary = asyncio.run(_import(settings, files[: arguments.limit or None], arguments))
    except OSError as error:
        sys.stderr.write(f"import: --report {arguments.report}: {error.strerror}\n")
        return 2
    except RepriseError as error:
        sys.stderr.write(f"import: {error}\n")
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        if arguments.watch:
            return 0
        sys.stderr.write("import: interrupted; start it again to go on\n")
        return 130
    return summary.exit_code


async def _import(settings: Settings, files: list[Path], arguments: argparse.Namespace) -> Summary:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    operator_key = config.read_key(settings.operator_key_path, "operator_key_path")
    signing_key = _signing_key(settings.manifest_key_path)
    rungs = arguments.ladder or settings.ladder
    ladder.parse(rungs)
    bucket = s3.Bucket(settings.s3_endpoint, settings.s3_bucket, settings.s3_credentials_path)
    with _reporting(arguments) as report:
        async with s3.client(bucket) as client, rpc.channel(settings.catalog_address) as channel:
            publisher = Publisher(
                Objects(client, bucket.name),
                channel,
                operator_key=operator_key,
                signing_key=signing_key,
                release_at_unix_ms=arguments.release_at_unix_ms,
            )

            def new_importer(count: int) -> Importer:
                workers = max(1, min(arguments.workers, count))
                return Importer(
                    publisher,
                    report,
                    workers,
                    lambda: WorkerProcess(settings.file_timeout_s, settings.song_s_max, rungs),
                )

            if arguments.watch:
                await watch(arguments.paths, settings.watch_every_s, new_importer)
            return await new_importer(len(files)).run(files)


@contextmanager
def _reporting(arguments: argparse.Namespace) -> Iterator[Report]:
    """Where the outcomes go."""
    shown = JsonReport(sys.stdout) if arguments.json else TextReport(sys.stdout)
    if arguments.report is None:
        yield shown
        return
    with arguments.report.open("a") as kept:
        yield Reports(shown, JsonReport(kept))


def _signing_key(path: Path) -> Ed25519PrivateKey:
    with suppress(ValueError):
        return manifests.parse_signing_key(config.read_secret(path, "manifest_key_path"))
    raise ConfigError(f"manifest_key_path: {path} must hold an Ed25519 private key as 64 hex digits")


if __name__ == "__main__":
    sys.exit(main())
