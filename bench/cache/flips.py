"""Ten thousand damages to a cache directory: `python -m bench.cache.flips [DAMAGES]`. The short version is a test.

Half of the damage is done while the edge is down, half under its feet. Bits are flipped, files cut, blanked, deleted and
exchanged, sidecars too. After each round every song is heard by two listeners and must be whole and on disk again.
"""

import argparse
import asyncio
import logging
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from tests.edge_node.damage import SONG_CHUNKS, Torture

SONGS = 20
DAMAGES_A_ROUND = 20


def main() -> None:
    """Exits with 1 when a wrong byte left or a song did not heal."""
    parser = argparse.ArgumentParser(prog="bench.cache.flips", description=__doc__)
    parser.add_argument("damages", nargs="?", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    # Each dropped chunk is a warning, which is right for an edge and not here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with TemporaryDirectory(prefix="reprise-flips-") as folder:
        sys.exit(asyncio.run(_run(Path(folder), arguments.damages, arguments.seed)))


async def _run(cache_dir: Path, damages: int, seed: int) -> int:
    torture, started = Torture(cache_dir, SONGS, seed), time.monotonic()
    await torture.begin()
    rounds = -(-damages // DAMAGES_A_ROUND)
    for number in range(rounds):
        await torture.round(DAMAGES_A_ROUND)
        if number % 50 == 49:
            print(f"{(number + 1) * DAMAGES_A_ROUND} of {damages}", file=sys.stderr, flush=True)
    heard = rounds * 4 * SONGS * SONG_CHUNKS
    print("| damages | chunks heard | misses | wrong chunks | songs not healed | seconds | seed |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {rounds * DAMAGES_A_ROUND} | {heard} | {torture.missed_chunks} | {torture.wrong_chunks} "
        f"| {torture.unhealed_songs} | {time.monotonic() - started:.0f} | {seed} |"
    )
    return int(torture.wrong_chunks > 0 or torture.unhealed_songs > 0)


if __name__ == "__main__":
    main()
