"""The closed set of errors: every one documented, and mapped to one gRPC and one HTTP status."""

import inspect
import re
from pathlib import Path

import pytest

from reprise import errors, rpc
from reprise.errors import RepriseError

LEAVES = sorted(RepriseError.__subclasses__(), key=lambda cls: cls.__name__)
LEAVES = [cls for cls in LEAVES if cls.__module__ == errors.__name__]
DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"


def _documented() -> dict[str, tuple[str, int]]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: (status, int(http)) for name, status, http in rows}


def test_there_are_eleven_errors_one_level_deep() -> None:
    defined = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls is not RepriseError]
    assert sorted(cls.__name__ for cls in defined) == [cls.__name__ for cls in LEAVES]
    assert len(LEAVES) == 11


@pytest.mark.parametrize("cls", LEAVES)
def test_each_has_a_grpc_and_an_http_status_and_a_row_in_the_document(cls: type[RepriseError]) -> None:
    assert _documented()[cls.__name__] == (rpc.STATUS[cls].name, rpc.HTTP_STATUS[cls])


def test_the_document_names_no_error_that_does_not_exist() -> None:
    assert sorted(_documented()) == [cls.__name__ for cls in LEAVES]


def test_no_two_errors_share_a_grpc_status() -> None:
    assert len(set(rpc.STATUS.values())) == len(rpc.STATUS) == len(LEAVES)


@pytest.mark.parametrize("cls", LEAVES)
def test_each_is_drawn_in_the_tree_of_the_module(cls: type[RepriseError]) -> None:
    assert re.search(rf"── {cls.__name__}\b", errors.__doc__ or "")


def test_an_error_keeps_its_message_and_its_pause() -> None:
    error = errors.QuotaExceeded("200 streams are the limit", retry_after_s=1.5)
    assert (str(error), error.message, error.retry_after_s) == ("200 streams are the limit",) * 2 + (1.5,)
