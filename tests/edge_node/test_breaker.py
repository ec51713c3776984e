"""The breaker pauses writes after an error and tries again after its time."""

from edge_node.breaker import RETRY_S, WriteBreaker


def test_it_opens_once_pauses_and_closes_with_the_first_success() -> None:
    breaker = WriteBreaker()
    assert breaker.allows(0.0)
    assert breaker.failed(100.0)
    assert not breaker.failed(100.5), "already open: nothing to say twice"
    assert not breaker.allows(100.0 + RETRY_S)
    assert breaker.allows(100.5 + RETRY_S)
    assert breaker.open
    assert breaker.succeeded()
    assert not breaker.succeeded()
    assert breaker.allows(100.6)
