"""A catalog of any size: the tracks of Chinook, then songs invented from their words and from names of many countries.

The same seed gives the same songs. Plays follow a Zipf law over a random order of songs, with an exponent at which about 12 %
of songs get 88 % of plays (Kreitz & Niemela, IEEE P2P 2010). One word in seven of an invented title is itself invented, from
syllables of real ones: vocabularies grow with catalogs (Heaps' law), and indexes that are cheap for few words are not for many.
"""

import csv
import random
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from faker import Faker

CHINOOK = Path(__file__).parents[2] / "tests" / "data" / "chinook.tsv"
LOCALES = ("ja_JP", "zh_CN", "ko_KR", "ru_RU", "el_GR", "ar_AA", "hi_IN", "pt_BR", "de_DE", "fr_FR", "pl_PL")
# The words of these are drawn from what Faker knows; others have no lists of their own there.
WORD_LOCALES = ("ja_JP", "zh_CN", "ko_KR", "ru_RU", "el_GR", "ar_AA", "hi_IN")
FOREIGN_SHARE, INVENTED_WORD_SHARE = 0.2, 0.15
SONGS_PER_ARTIST, SONGS_PER_RELEASE = 12, 10
ZIPF_EXPONENT = 1.06
# 2020-01-01: ids of the first song; a song a second from there on.
_FIRST_MS = 1_577_836_800_000
_LENGTHS = (1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class CorpusSong:
    """`artist`, `release` and `genre` count from 0 in the lists of their names; `rank` is the place by plays, from 1."""

    number: int
    song_id: uuid.UUID
    title: str
    artist: int
    release: int
    genre: int
    track_number: int
    year: int
    duration_ms: int
    rank: int


class Corpus:
    """`count` songs. The first are Chinook's own, as many as there are."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self._seed = seed
        with CHINOOK.open(newline="") as file:
            self._real = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[:count]
        self.real_count = len(self._real)
        self._real_artists = list(dict.fromkeys(row["artist"] for row in self._real))
        self._real_releases = list(dict.fromkeys((row["artist"], row["album"]) for row in self._real))
        self.genres = list(dict.fromkeys(row["genre"] for row in self._real))
        titles = [re.findall(r"[^\W\d_]+(?:'\w+)?", row["title"]) for row in self._real]
        counts: dict[str, int] = {}
        for word in (word for title in titles for word in title):
            counts[word] = counts.get(word, 0) + 1
        self._words = list(counts)
        self._word_weights = list(accumulate(counts.values()))

    @cached_property
    def artists(self) -> list[str]:
        """Names, Chinook's first. Different ones, as a catalog without MusicBrainz ids has them."""
        rng = random.Random(f"{self._seed} artists")
        fakers = _fakers(LOCALES, self._seed)
        wanted = max(len(self._real_artists), self.count // SONGS_PER_ARTIST)
        names = dict.fromkeys(self._real_artists)
        while len(names) < wanted:
            drawn = rng.random()
            if drawn < FOREIGN_SHARE * 2:
                names[rng.choice(fakers).name()] = None
            elif drawn < 0.6:
                names[f"The {self._word(rng)} {self._word(rng)}"] = None
            else:
                names[" ".join(self._word(rng) for _ in range(rng.choice((1, 2, 2, 3))))] = None
        return list(names)

    @cached_property
    def releases(self) -> list[tuple[str, int]]:
        """(title, artist) of each, Chinook's first."""
        rng = random.Random(f"{self._seed} releases")
        number = {name: at for at, name in enumerate(self.artists)}
        found = [(title, number[artist]) for artist, title in self._real_releases]
        taken = set(found)
        wanted = max(len(found), self.count // SONGS_PER_RELEASE)
        while len(found) < wanted:
            release = (self._title(rng), rng.randrange(len(self.artists)))
            if release not in taken:
                taken.add(release)
                found.append(release)
        return found

    def songs(self) -> Iterator[CorpusSong]:
        """Every song, in the order of ids."""
        rng = random.Random(f"{self._seed} songs")
        ranks = list(range(1, self.count + 1))
        random.Random(f"{self._seed} ranks").shuffle(ranks)
        artist_numbers = {name: at for at, name in enumerate(self.artists)}
        release_numbers = {release: at for at, release in enumerate(self._real_releases)}
        genre_numbers = {name: at for at, name in enumerate(self.genres)}
        tracks: dict[int, int] = {}
        for number in range(self.count):
            if number < len(self._real):
                row = self._real[number]
                title, artist, genre = row["title"], artist_numbers[row["artist"]], genre_numbers[row["genre"]]
                release, duration_ms = release_numbers[(row["artist"], row["album"])], int(row["duration_ms"])
            else:
                release = self._release_of(number)
                artist, title = self.releases[release][1], self._title(rng)
                genre, duration_ms = artist % len(self.genres), rng.randrange(90_000, 420_000)
            tracks[release] = tracks.get(release, 0) + 1
            song_id = _song_id(number, rng)
            year = 1955 + release * 7 % 70
            yield CorpusSong(
                number, song_id, title, artist, release, genre, tracks[release], year, duration_ms, ranks[number]
            )

    def plays(self, rank: int) -> float:
        """How often the song of that rank was played lately."""
        return float(self.count / rank**ZIPF_EXPONENT)

    def _release_of(self, number: int) -> int:
        """Invented songs fill invented releases in turn; with none of these, they go on real ones."""
        invented = len(self.releases) - len(self._real_releases)
        if invented == 0:
            return number % len(self.releases)
        return len(self._real_releases) + (number - len(self._real)) % invented

    def _title(self, rng: random.Random) -> str:
        if rng.random() < FOREIGN_SHARE:
            locale, words = rng.choice(self._foreign_words)
            space = "" if locale in ("ja_JP", "zh_CN") else " "
            return space.join(rng.choice(words) for _ in range(rng.choice(_LENGTHS[:8])))
        return " ".join(self._word(rng) for _ in range(rng.choice(_LENGTHS)))

    def _word(self, rng: random.Random) -> str:
        if rng.random() < INVENTED_WORD_SHARE:
            return "".join(rng.choice(self._syllables) for _ in range(rng.choice((2, 2, 3)))).capitalize()
        return rng.choices(self._words, cum_weights=self._word_weights)[0]

    @cached_property
    def _syllables(self) -> list[str]:
        found = {part for word in self._words for part in re.findall(r"[^aeiouy]*[aeiouy]+n?", word.casefold())}
        return sorted(part for part in found if 2 <= len(part) <= 4 and part.isalpha())

    @cached_property
    def _foreign_words(self) -> list[tuple[str, Sequence[str]]]:
        fakers = zip(WORD_LOCALES, _fakers(WORD_LOCALES, self._seed), strict=True)
        return [(locale, sorted({faker.word() for _ in range(400)})) for locale, faker in fakers]


def _fakers(locales: Sequence[str], seed: int) -> list[Faker]:
    fakers = [Faker(locale) for locale in locales]
    for faker in fakers:
        faker.seed_instance(seed)
    return fakers


def _song_id(number: int, rng: random.Random) -> uuid.UUID:
    """A UUIDv7 (RFC 9562) of a second of its own."""
    bits = (_FIRST_MS + number * 1000) << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)
    return uuid.UUID(int=bits)
