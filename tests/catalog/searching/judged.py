"""What people may type for the tracks of tests/data/chinook.tsv, and which songs they mean by it.

Written by hand where typing is an art; made with a fixed seed where it is an accident. A song is meant when its title or its
artist is the one named: several songs of one title, or of one artist, are equally right.
"""

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog import normalise
from catalog.searching.documents import Entry
from tests.catalog.searching.library import artist, id_for, release, song

CHINOOK = Path(__file__).parents[2] / "data" / "chinook.tsv"
_GENERATED = 150
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Shorter names become other names by one letter.
_TYPO_CHARS_MIN = 4


@dataclass(frozen=True, slots=True)
class Judged:
    """A query; `title` or `artist` says what was meant, both when the song is one of that artist's."""

    kind: str
    typed: str
    title: str = ""
    artist: str = ""

    def meant(self, found: Entry) -> bool:
        return (not self.title or _same(self.title, found.title)) and (
            not self.artist or any(_same(self.artist, name) for name in found.artists)
        )


WRITTEN = (
    # As typed, letter by letter.
    Judged("prefix", "bohem", "Bohemian Rhapsody"),
    Judged("prefix", "stairway t", "Stairway To Heaven"),
    Judged("prefix", "smells like", "Smells Like Teen Spirit"),
    Judged("prefix", "enter sa", "Enter Sandman"),
    Judged("prefix", "metalli", artist="Metallica"),
    Judged("prefix", "iron mai", artist="Iron Maiden"),
    Judged("prefix", "led z", artist="Led Zeppelin"),
    Judged("prefix", "red hot ch", artist="Red Hot Chili Peppers"),
    Judged("prefix", "under the br", "Under The Bridge"),
    Judged("prefix", "with or with", "With Or Without You"),
    Judged("prefix", "sunday bl", "Sunday Bloody Sunday"),
    Judged("prefix", "whiskey in", "Whiskey In The Jar"),
    Judged("prefix", "nothing el", "Nothing Else Matters"),
    Judged("prefix", "black sab", artist="Black Sabbath"),
    Judged("prefix", "audiosl", artist="Audioslave"),
    # No diacritics.
    Judged("plain letters", "antonio carlos jobim", artist="Antônio Carlos Jobim"),
    Judged("plain letters", "jobim garota de ipanema", "Garota De Ipanema"),
    Judged("plain letters", "cassia eller", artist="Cássia Eller"),
    Judged("plain letters", "joao gilberto", artist="João Gilberto"),
    Judged("plain letters", "motley crue", artist="Mötley Crüe"),
    Judged("plain letters", "motorhead", artist="Motörhead"),
    Judged("plain letters", "antonio", artist="Antônio Carlos Jobim"),
    Judged("plain letters", "coracao de estudante", "Coração De Estudante"),
    Judged("plain letters", "maracatu atomico", "Maracatu Atômico"),
    Judged("plain letters", "vinicius de moraes", artist="Vinícius De Moraes"),
    Judged("plain letters", "legiao urbana", artist="Legião Urbana"),
    Judged("plain letters", "que pais e este", "Que País É Este"),
    # Signs.
    Judged("signs", "acdc", artist="AC/DC"),
    Judged("signs", "ac dc", artist="AC/DC"),
    Judged("signs", "ac/dc", artist="AC/DC"),
    Judged("signs", "acdc let there be rock", "Let There Be Rock"),
    Judged("signs", "rem", artist="R.E.M."),
    Judged("signs", "r.e.m.", artist="R.E.M."),
    Judged("signs", "rem losing my religion", "Losing My Religion"),
    Judged("signs", "dont cry", "Don't Cry"),
    Judged("signs", "guns n roses", artist="Guns N' Roses"),
    Judged("signs", "guns n' roses", artist="Guns N' Roses"),
    Judged("signs", "cant stop", "Can't Stop"),
    # Artist and title mixed.
    Judged("mixed", "queen bohemian", "Bohemian Rhapsody", "Queen"),
    Judged("mixed", "rhapsody queen", "Bohemian Rhapsody", "Queen"),
    Judged("mixed", "metallica sandman", "Enter Sandman"),
    Judged("mixed", "nirvana teen spirit", "Smells Like Teen Spirit", "Nirvana"),
    Judged("mixed", "u2 one", "One", "U2"),
    Judged("mixed", "one u2", "One", "U2"),
    Judged("mixed", "led zeppelin kashmir", "Kashmir", "Led Zeppelin"),
    Judged("mixed", "zeppelin stairway", "Stairway To Heaven"),
    Judged("mixed", "deep purple smoke on", "Smoke On The Water", "Deep Purple"),
    Judged("mixed", "pearl jam alive", "Alive", "Pearl Jam"),
    Judged("mixed", "clapton layla", "Layla", "Eric Clapton"),
    Judged("mixed", "iron maiden trooper", "The Trooper", "Iron Maiden"),
    Judged("mixed", "green day boulevard", "Boulevard Of Broken Dreams"),
    Judged("mixed", "chili peppers scar tissue", "Scar Tissue"),
    Judged("mixed", "foo fighters razor", "Razor", "Foo Fighters"),
    Judged("mixed", "ozzy crazy train", "Crazy Train"),
    # The article dropped.
    Judged("no article", "rolling stones", artist="The Rolling Stones"),
    Judged("no article", "rolling sto", artist="The Rolling Stones"),
    Judged("no article", "black crowes", artist="The Black Crowes"),
    Judged("no article", "tragically hip", artist="The Tragically Hip"),
    Judged("no article", "police", artist="The Police"),
    Judged("no article", "clash", artist="The Clash"),
    Judged("no article", "cult", artist="The Cult"),
    Judged("no article", "doors", artist="The Doors"),
    Judged("no article", "trooper", "The Trooper"),
    Judged("no article", "number of the beast", "The Number Of The Beast"),
    Judged("no article", "unforgiven", "The Unforgiven"),
    Judged("no article", "rolling stones love is strong", "Love Is Strong"),
    # A space too few or too many.
    Judged("spaces", "ledzeppelin", artist="Led Zeppelin"),
    Judged("spaces", "ironmaiden", artist="Iron Maiden"),
    Judged("spaces", "metal lica", artist="Metallica"),
    Judged("spaces", "bohemianrhapsody", "Bohemian Rhapsody"),
    Judged("spaces", "ozzy ironman", "Iron Man"),
    Judged("spaces", "audio slave", artist="Audioslave"),
    Judged("spaces", "green day basketcase", "Basket Case"),
    Judged("spaces", "velvetrevolver", artist="Velvet Revolver"),
    Judged("spaces", "sound garden", artist="Soundgarden"),
    Judged("spaces", "u2 bloodysunday", "Sunday Bloody Sunday"),
    # Two slips in a long word.
    Judged("two typos", "metalicca", artist="Metallica"),
    Judged("two typos", "soundgradne", artist="Soundgarden"),
    Judged("two typos", "bohemain rapsody", "Bohemian Rhapsody"),
    Judged("two typos", "led zepellin starway", "Stairway To Heaven"),
    Judged("two typos", "smels like teen sprit", "Smells Like Teen Spirit"),
)


def tracks() -> list[dict[str, str]]:
    with CHINOOK.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def entries(rows: list[dict[str, str]]) -> Iterator[Entry]:
    """Songs, artists and releases; sales as popularity."""
    for at, row in enumerate(rows):
        genre = (row["genre"],)
        names = {"album": row["album"], "genres": genre, "score": float(row["sales"])}
        yield song(row["title"], row["artist"], **names, id=id_for(f"track {at}"))
    yield from (artist(name) for name in dict.fromkeys(row["artist"] for row in rows))
    yield from (release(album, by) for album, by in dict.fromkeys((row["album"], row["artist"]) for row in rows))


def judged(rows: list[dict[str, str]]) -> list[Judged]:
    """Every query: those written, and exact names and typos of titles and artists drawn with a fixed seed."""
    rng = random.Random("judged")
    titles = sorted({row["title"] for row in rows})
    artists = sorted({row["artist"] for row in rows})
    found = [query for query in WRITTEN if any(_exists(query, row) for row in rows)]
    found += [Judged("exact title", title, title) for title in rng.sample(titles, _GENERATED)]
    found += [Judged("exact artist", name, artist=name) for name in rng.sample(artists, _GENERATED // 2)]
    may_err = [title for title in titles if _may_err(title)]
    found += [Judged("typo in title", typo(title, rng), title) for title in rng.sample(may_err, _GENERATED)]
    may_err = [name for name in artists if _may_err(name)]
    found += [Judged("typo in artist", typo(name, rng), artist=name) for name in rng.sample(may_err, _GENERATED // 2)]
    return found


def typo(name: str, rng: random.Random) -> str:
    """The name with one letter missing, doubled or too many, wrong, or swapped with the next; anywhere, also at the start."""
    text = normalise.key(name)
    at = rng.choice([place for place, letter in enumerate(text) if letter.isalpha()])
    kind = rng.randrange(4)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + rng.choice(_LETTERS) + text[at:]
    if kind == 2 and at + 1 < len(text) and text[at + 1] not in (" ", text[at]):
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + rng.choice(_LETTERS.replace(text[at], "")) + text[at + 1 :]


def _may_err(name: str) -> bool:
    text = normalise.key(name)
    return text.isascii() and sum(map(str.isalpha, text)) >= _TYPO_CHARS_MIN


def _same(a: str, b: str) -> bool:
    return normalise.joined(a) == normalise.joined(b)


def _exists(query: Judged, row: dict[str, str]) -> bool:
    return query.meant(song(row["title"], row["artist"]))
