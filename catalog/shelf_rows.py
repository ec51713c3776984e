"""Which songs, releases, artists and genres stand on which shelf, as SQL. Reads the catalog's tables; `shelves` writes.

A row is (kind, shelf_id, entity_id, sort_key, score, visible_from), see the table `shelf`. Kinds are those of `listing.Kind`:
1 artists, 2 releases, 3 genres, 4 songs; popularity counts its own: 1 song, 2 artist, 3 release.
"""

NIL = "'00000000-0000-0000-0000-000000000000'::uuid"
COLUMNS = "kind, shelf_id, entity_id, sort_key, score, visible_from"
_BEFORE_ALL = "'-infinity'"

# Songs that are not taken down: on the shelf of all, of each artist, of each genre.
SONGS = f"""
    SELECT 4::smallint AS kind, place.shelf_id, r.id AS entity_id, r.title_key AS sort_key,
        coalesce(p.score, {_BEFORE_ALL}::float8) AS score, coalesce(r.available_from, {_BEFORE_ALL}) AS visible_from
    FROM recording r
    LEFT JOIN popularity p ON p.kind = 1 AND p.entity_id = r.id
    CROSS JOIN LATERAL (
        SELECT {NIL} AS shelf_id
        UNION SELECT artist_id FROM artist_credit_name WHERE credit_id = r.credit_id
        UNION SELECT genre_id FROM recording_genre WHERE recording_id = r.id
    ) place
    WHERE r.withdrawn_at IS NULL
"""
OF_SONGS = " AND r.id = ANY(:ids)"

# Of each release group one edition that is not taken down and has a song that is not: the first one that is out, else the one
# that comes out first. On the shelf of all, of each artist of its own, of each genre of a song of the group.
_RELEASES = """
    WITH edition AS (
        SELECT e.id, e.group_id, e.title_key, e.credit_id, greatest(
            coalesce(e.available_from, '-infinity'), min(coalesce(r.available_from, '-infinity'))
        ) AS visible_from
        FROM release e JOIN track k ON k.release_id = e.id JOIN recording r ON r.id = k.recording_id
        WHERE e.withdrawn_at IS NULL AND r.withdrawn_at IS NULL {of_groups}
        GROUP BY e.id
    ), shown AS (
        SELECT DISTINCT ON (group_id) * FROM edition ORDER BY group_id, greatest(visible_from, now()), id
    ), place AS (
        SELECT id, {nil} AS shelf_id FROM shown
        UNION SELECT id, artist_id FROM shown JOIN artist_credit_name USING (credit_id)
        UNION SELECT shown.id, g.genre_id FROM shown
            JOIN release e ON e.group_id = shown.group_id AND e.withdrawn_at IS NULL
            JOIN track k ON k.release_id = e.id
            JOIN recording r ON r.id = k.recording_id AND r.withdrawn_at IS NULL
            JOIN recording_genre g ON g.recording_id = r.id
    )
    SELECT 2::smallint AS kind, place.shelf_id, shown.id AS entity_id, shown.title_key AS sort_key,
        coalesce(p.score, '-infinity') AS score, shown.visible_from
    FROM shown JOIN place USING (id) LEFT JOIN popularity p ON p.kind = 3 AND p.entity_id = shown.id
"""
RELEASES = _RELEASES.format(nil=NIL, of_groups="")
RELEASES_OF_GROUPS = _RELEASES.format(nil=NIL, of_groups="AND e.group_id = ANY(:groups)")

# Where these songs put artists (all, and each genre) and genres (all).
_PLACES = f"""
    SELECT DISTINCT 1::smallint AS kind, place.shelf_id, artist.id AS entity_id, artist.sort_key
    FROM shelf song JOIN artist ON artist.id = song.shelf_id
    CROSS JOIN LATERAL (
        SELECT {NIL} AS shelf_id
        UNION ALL SELECT genre_id FROM recording_genre WHERE recording_id = song.entity_id
    ) place
    WHERE song.kind = 4 AND song.entity_id = ANY(:ids)
    UNION ALL
    SELECT DISTINCT 3::smallint, {NIL}, genre.id, genre.name_key
    FROM shelf song JOIN genre ON genre.id = song.shelf_id
    WHERE song.kind = 4 AND song.entity_id = ANY(:ids)
"""
# The songs by which an artist or genre has its place: they are on the shelf of the one, and of the other.
_WITNESSES = f"""
    shelf song WHERE song.kind = 4 AND song.shelf_id = place.entity_id AND (place.shelf_id = {NIL} OR EXISTS (
        SELECT FROM shelf WHERE kind = 4 AND shelf_id = place.shelf_id AND entity_id = song.entity_id
    ))
"""
# Nearly always the first witness is out, which spares looking at all of them.
ARTISTS_AND_GENRES = f"""
    SELECT place.kind, place.shelf_id, place.entity_id, place.sort_key, coalesce(p.score, {_BEFORE_ALL}) AS score,
        CASE WHEN EXISTS (SELECT FROM {_WITNESSES} AND song.visible_from <= now()) THEN {_BEFORE_ALL}::timestamptz
            ELSE (SELECT min(song.visible_from) FROM {_WITNESSES}) END AS visible_from
    FROM ({_PLACES}) place LEFT JOIN popularity p ON place.kind = 1 AND p.kind = 2 AND p.entity_id = place.entity_id
"""
# Of the places that songs on these shelves had given to artists and genres, those that no song gives any more.
EMPTY_PLACES = f"""
    place.kind IN (1, 3) AND place.entity_id = ANY(:touched) AND (place.shelf_id = {NIL} OR place.shelf_id = ANY(:touched))
    AND NOT EXISTS (SELECT FROM {_WITNESSES})
"""
# As ARTISTS_AND_GENRES, of all songs.
ALL_ARTISTS = f"""
    SELECT 1::smallint, place.shelf_id, artist.id, artist.sort_key, coalesce(max(p.score), {_BEFORE_ALL}),
        min(song.visible_from)
    FROM shelf song JOIN artist ON artist.id = song.shelf_id
    LEFT JOIN popularity p ON p.kind = 2 AND p.entity_id = artist.id
    CROSS JOIN LATERAL (
        SELECT {NIL} AS shelf_id
        UNION ALL SELECT genre_id FROM recording_genre WHERE recording_id = song.entity_id
    ) place
    WHERE song.kind = 4 GROUP BY artist.id, place.shelf_id
"""
ALL_GENRES = f"""
    SELECT 3::smallint, {NIL}, genre.id, genre.name_key, {_BEFORE_ALL}::float8, min(song.visible_from)
    FROM shelf song JOIN genre ON genre.id = song.shelf_id WHERE song.kind = 4 GROUP BY genre.id
"""
