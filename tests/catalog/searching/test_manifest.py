"""The index's manifest: what comes from the store is checked before anything is done by it."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.searching.manifest import THIS_BUILD, IndexFile, IndexManifest, from_bytes, to_bytes
from reprise.errors import DataCorrupt

MANIFEST = IndexManifest(
    generation="ab" * 16,
    epoch=3,
    number=14,
    versions=THIS_BUILD,
    checkpoint="1-1/2/3",
    documents=9,
    files=(IndexFile("meta.json", 100, "cd" * 32), IndexFile("0f.term", 23, "ef" * 32)),
)


def test_a_manifest_comes_back_from_its_bytes() -> None:
    assert from_bytes(to_bytes(MANIFEST)) == MANIFEST
    assert MANIFEST.size_bytes == 123


@pytest.mark.parametrize("name", ["../meta.json", "a/b", "", ".managed.json", "a\0b", "a\n", "é"])
def test_a_file_outside_of_its_folder_or_with_an_odd_name_is_refused(name: str) -> None:
    with pytest.raises(DataCorrupt, match="file name"):
        from_bytes(to_bytes(replace(MANIFEST, files=(IndexFile(name, 1, "cd" * 32),))))


@pytest.mark.parametrize(
    ("field", "value"),
    [("epoch", -1), ("epoch", True), ("number", "1"), ("generation", "../x"), ("files", None), ("versions", {})],
)
def test_a_field_that_is_not_what_it_should_be_is_refused(field: str, value: Any) -> None:
    with pytest.raises(DataCorrupt):
        from_bytes(json.dumps({"format": 1, **asdict(MANIFEST), field: value}).encode())


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(DataCorrupt, match="one name"):
        from_bytes(to_bytes(replace(MANIFEST, files=(MANIFEST.files[0],) * 2)))


NAMES = st.sampled_from(["format", "files", "generation", "epoch", "versions", "x"])
VALUES = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)
)


@given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_data_corrupt_and_nothing_worse(stored: bytes) -> None:
    with pytest.raises(DataCorrupt):
        from_bytes(stored)
