"""Tags as taggers write them, and what is made of them."""

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
