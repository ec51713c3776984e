"""Several balancers, one view."""

from hypothesis import given
from hypothesis import strategies as st

from edge_node.sources import Peer
from edge_node.views import View, Views


def view(*edge_ids: str, epoch: int = 1, draining: bool = False) -> View:
    return View(epoch, tuple(Peer(edge_id, f"{edge_id}:1", "grant", draining) for edge_id in edge_ids))


def named(merged: View) -> list[str]:
    return [peer.edge_id for peer in merged.peers]


def test_a_balancer_that_has_just_started_hides_no_edge_that_another_knows() -> None:
    views = Views()
    views.said("one", view("a", "b", epoch=7))
    assert named(views.said("two", view("a"))) == ["a", "b"]
    assert named(views.said("one", view("b", epoch=8))) == ["a", "b"]
    assert named(views.said("two", view())) == ["b"], "both agree that it is gone"


def test_the_word_of_a_broken_line_counts_no_more_unless_it_was_the_last() -> None:
    views = Views()
    views.said("one", view("a"))
    views.said("two", view("b"))
    assert named(views.lost("one")) == ["b"]
    assert named(views.lost("two")) == ["b"], "without any balancer the last view stays"
    assert named(views.said("one", view("c"))) == ["c"]


def test_an_edge_drains_when_anybody_says_so() -> None:
    views = Views()
    views.said("one", view("a", draining=True))
    (peer,) = views.said("two", view("a")).peers
    assert peer.draining


@given(
    st.lists(
        st.tuples(st.sampled_from(["one", "two", "three"]), st.none() | st.sets(st.sampled_from("abcd"))), min_size=1
    )
)
def test_after_any_words_and_breaks_the_view_is_what_open_lines_say(words: list[tuple[str, set[str] | None]]) -> None:
    views, open_lines, last = Views(), {}, set()
    for balancer, said in words:
        if said is None:
            merged = views.lost(balancer)
            open_lines.pop(balancer, None)
        else:
            merged = views.said(balancer, view(*said))
            open_lines[balancer] = said
        last = set().union(*open_lines.values()) if open_lines else last
        assert set(named(merged)) == last
