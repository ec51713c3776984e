"""Names are compared as people mean them, and no error repeats a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.sessions.credentials import check_device_name, check_name, check_password, check_secret, name_key
from reprise.errors import InvalidRequest


@pytest.mark.parametrize("other", ["ada", "ADA", "Äda", "Ａｄａ", "  Ada "])
def test_names_are_compared_without_case_width_and_marks(other: str) -> None:
    assert name_key(other) == name_key("Ada")


@given(st.text(min_size=1, max_size=64))
def test_a_key_of_a_key_is_the_key(name: str) -> None:
    assert name_key(name_key(name)) == name_key(name)


@pytest.mark.parametrize("name", ["", " ", "a" * 65, "a\nb", "a\0b", "\u0301"])
def test_a_name_that_cannot_be_told_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="name must be 1 to 64 printable characters"):
        check_name(name)


@pytest.mark.parametrize("password", ["short", "p" * 257])
def test_a_password_that_is_too_short_or_long_is_not_repeated(password: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_password(password)
    assert password not in refused.value.message


def test_a_password_is_the_same_on_every_keyboard() -> None:
    assert check_password("pa\u0308sswort") == check_password("p\u00e4sswort")


@pytest.mark.parametrize("secret", ["x" * 31, "x" * 129, "x" * 31 + " "])
def test_a_secret_of_another_shape_is_not_repeated(secret: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_secret(secret)
    assert secret not in refused.value.message


def test_a_device_may_have_no_name_but_not_an_endless_one() -> None:
    assert check_device_name(" Ada's phone ") == "Ada's phone"
    assert check_device_name("") == ""
    with pytest.raises(InvalidRequest, match="device_name"):
        check_device_name("x" * 65)
