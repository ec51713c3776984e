"""Tags as taggers write them, and what is made of them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.ingest.tag_rules import TEXT_CHARS_MAX, VALUES_MAX, Credit, credits_of, date_of, tags_of


def printed(credit_list: tuple[Credit, ...]) -> str:
    return "".join(credit.name + credit.join_phrase for credit in credit_list)


def test_a_well_tagged_song_keeps_everything() -> None:
    tags = tags_of(
        [
            {
                "title": ["Jóga"],
                "artist": ["Björk"],
                "album": ["Homogenic"],
                "albumartist": ["Björk"],
                "genre": ["Electronic; Art pop"],
                "track": ["2"],
                "disc": ["1"],
                "year": ["1997-09-22"],
                "isrc": ["GB-AKN-97-00045"],
            }
        ],
        "02 whatever",
        "folder",
    )
    assert (tags.title, printed(tags.artists), tags.album) == ("Jóga", "Björk", "Homogenic")
    assert tags.genres == ("Electronic", "Art pop")
    assert (tags.track_number, tags.disc_number, tags.date, tags.isrcs) == (2, 1, "1997-09-22", ("GBAKN9700045",))


def test_the_second_source_fills_what_the_first_lacks() -> None:
    tags = tags_of(
        [{"title": ["A"], "artist": [" \x00 "]}, {"title": ["B"], "artist": ["C"], "track": ["4/12"]}], "f", "d"
    )
    assert (tags.title, printed(tags.artists), tags.track_number) == ("A", "C", 4)


@pytest.mark.parametrize(
    ("stem", "artist", "title"),
    [
        ("03 - Björk - Jóga", "Björk", "Jóga"),
        ("03. Jóga", "Unknown artist", "Jóga"),
        ("1-03 Jóga", "Unknown artist", "Jóga"),
        ("some_song", "Unknown artist", "some song"),
        ("99 Luftballons", "Unknown artist", "99 Luftballons"),
        ("12-Track", "Unknown artist", "Track"),
        ("07", "Unknown artist", "Live 07"),
        ("1999", "Unknown artist", "Live 1999"),
    ],
)
def test_a_song_without_tags_is_named_after_its_file(stem: str, artist: str, title: str) -> None:
    tags = tags_of([{}], stem, "Live")
    assert (printed(tags.artists), tags.title) == (artist, title)


@pytest.mark.parametrize(
    ("display", "names", "expected"),
    [
        (["A feat. B"], [], [("A", " feat. "), ("B", "")]),
        (["A (ft. B)"], [], [("A", " feat. "), ("B", "")]),
        (["A & B feat. C"], ["A", "B", "C"], [("A", " & "), ("B", " feat. "), ("C", "")]),
        (["Something else"], ["A", "B"], [("A", ", "), ("B", "")]),
        (["A", "B", "a"], [], [("A", ", "), ("B", "")]),
        (["A; B / C"], [], [("A", ", "), ("B", ", "), ("C", "")]),
        (["AC/DC"], [], [("AC/DC", "")]),
        (["Earth, Wind & Fire"], [], [("Earth, Wind & Fire", "")]),
        (["Left Feature"], [], [("Left Feature", "")]),
        ([], ["A"], [("A", "")]),
        ([], [], []),
    ],
)
def test_credits_split_only_where_that_is_safe(
    display: list[str], names: list[str], expected: list[tuple[str, str]]
) -> None:
    assert [(credit.name, credit.join_phrase) for credit in credits_of(display, names)] == expected


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2004", "2004"),
        ("2004-05", "2004-05"),
        ("2004-5-1", "2004-05-01"),
        ("2004-05-01T12:00:00Z", "2004-05-01"),
        ("2004-13-01", "2004"),
        ("2004-05-77", "2004-05"),
        ("01/05/2004", "2004"),
        ("0000", ""),
        ("20040501", ""),
        ("soon", ""),
    ],
)
def test_dates_are_as_precise_as_they_make_sense(text: str, date: str) -> None:
    assert date_of([text]) == date


@pytest.mark.parametrize(("track", "number"), [("4", 4), ("4/12", 4), ("A1", 0), ("99999", 0), ("-1", 0), ("", 0)])
def test_track_numbers_that_make_no_sense_are_unknown(track: str, number: int) -> None:
    assert tags_of([{"title": ["t"], "track": [track]}], "f", "d").track_number == number


FIELDS = st.sampled_from(
    ["title", "artist", "artists", "albumartist", "genre", "track", "disc", "date", "isrc", "album"]
)


@given(
    sources=st.lists(st.dictionaries(FIELDS, st.lists(st.text(max_size=400), max_size=40)), max_size=3), stem=st.text()
)
def test_whatever_the_tags_are_the_catalog_can_take_them(sources: list[dict[str, list[str]]], stem: str) -> None:
    tags = tags_of(sources, stem, "")
    texts = [tags.title, *(credit.name for credit in tags.artists)]
    assert all(texts), "title and artists are never empty"
    for text in [*texts, tags.album, *tags.genres, *(credit.name for credit in tags.album_artists)]:
        assert text == text.strip()
        assert text.isprintable()
        assert len(text) <= max(TEXT_CHARS_MAX, len(stem) + 10)
    assert max(len(tags.artists), len(tags.genres), len(tags.isrcs)) <= VALUES_MAX
    assert 0 <= tags.track_number <= 9999
    assert [credit.join_phrase == "" for credit in tags.artists] == [False] * (len(tags.artists) - 1) + [True]


RECORDING, RELEASE, GROUP, TRACK = (f"{n}0000000-0000-4000-8000-000000000000" for n in (1, 2, 3, 4))


@pytest.mark.parametrize("spell", [str, str.upper, lambda name: name.replace(" ", "_").lower()])
def test_musicbrainz_ids_are_read_however_a_format_spells_them(spell: Callable[[str], str]) -> None:
    """By Picard's names "track id" is the recording's, and "release track id" no song's."""
    names = {
        "MusicBrainz Track Id": RECORDING,
        "MusicBrainz Release Track Id": TRACK,
        "MusicBrainz Album Id": RELEASE,
        "MusicBrainz Release Group Id": GROUP.upper(),
    }
    tags = tags_of([{spell(name): [value] for name, value in names.items()}], "x", "y")
    assert (tags.recording_mbid, tags.release_mbid, tags.release_group_mbid) == (RECORDING, RELEASE, GROUP)


def test_what_belongs_to_artists_is_one_each_or_none() -> None:
    source = {"artist": ["A & B"], "artists": ["A", "B"], "musicbrainz_artistid": [f"{RECORDING}/{RELEASE}"]}
    tags = tags_of([source | {"artistsort": ["A, The", "B"]}], "x", "y")
    assert (tags.artist_mbids, tags.artist_sort_names) == ((RECORDING, RELEASE), ("A, The", "B"))
    tags = tags_of([{"artist": ["A & B"], "musicbrainz_artistid": [RECORDING, RELEASE], "artistsort": []}], "x", "y")
    assert (tags.artist_mbids, tags.artist_sort_names) == ((), ())


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ({"releasetype": ["album", "live"]}, "live"),
        ({"MusicBrainz Album Type": ["Album; Soundtrack"]}, "soundtrack"),
        ({"releasetype": ["EP"]}, "ep"),
        ({"compilation": ["1"], "releasetype": ["album"]}, "compilation"),
        ({"tcmp": ["0"]}, ""),
        ({"releasetype": ["broadcast"]}, ""),
    ],
)
def test_the_kind_of_release_is_the_most_that_its_tags_say(source: dict[str, list[str]], kind: str) -> None:
    assert tags_of([source], "x", "y").release_kind == kind


def test_label_and_barcode_are_kept_when_they_look_like_it() -> None:
    tags = tags_of([{"publisher": ["Mute"], "barcode": ["EAN 5016025610761"]}], "x", "y")
    assert (tags.label, tags.barcode) == ("Mute", "5016025610761")
    assert tags_of([{"barcode": ["none"]}], "x", "y").barcode == ""


@pytest.mark.parametrize(
    ("stem", "titles", "tracks", "title", "track"),
    [
        ("hr3-desert", ["Living Caves", "Crossroads", "Desert", "Hell"], ["2", "5", "10", "1"], "Desert", 10),
        ("hr3-hell", ["Living Caves", "Crossroads", "Hell"], ["2", "5"], "Hell", 0),
        ("hr3-rlyeh", ["Living Caves", "R'Lyeh"], [], "R'Lyeh", 0),
        ("hr3-icyland", ["Living Caves", "Icy Lands"], ["2"], "Icy Lands", 0),
        ("07", ["First", "Second"], ["7", "8"], "First", 7),
    ],
)
def test_of_several_titles_it_is_the_one_that_the_file_is_named_after(
    stem: str, titles: list[str], tracks: list[str], title: str, track: int
) -> None:
    tags = tags_of([{"title": titles, "track": tracks}], stem, "y")
    assert (tags.title, tags.track_number) == (title, track)


def test_a_track_number_is_nobodys_album_artist() -> None:
    assert tags_of([{"artist": ["A"], "albumartist": ["4"]}], "x", "y").album_artists == ()
    assert tags_of([{"artist": ["311"], "albumartist": ["311"]}], "x", "y").album_artists == (Credit("311"),)
    assert tags_of([{"artist": ["4"], "albumartist": ["4"]}], "x", "y").album_artists == (Credit("4"),)
