"""Which rendition a listener gets."""

from hypothesis import given
from hypothesis import strategies as st

from balancer.renditions import DEFAULT_CODECS, choose
from reprise.types.v1.types_pb2 import Codec, Rendition
from tests.balancer.values import AAC, OPUS

RENDITIONS = st.lists(
    st.builds(
        Rendition,
        rendition_id=st.integers(0, 10**6).map(lambda n: f"{n:064x}"),
        codec=st.sampled_from(DEFAULT_CODECS),
        bitrate_bps=st.integers(1, 10**6),
    ),
    max_size=6,
)


def test_the_order_of_codecs_decides_before_the_bit_rate() -> None:
    assert choose([AAC, OPUS], (Codec.CODEC_OPUS, Codec.CODEC_AAC), 0) == OPUS
    assert choose([AAC, OPUS], (Codec.CODEC_AAC, Codec.CODEC_OPUS), 0) == AAC


def test_a_limit_moves_on_to_the_next_codec() -> None:
    assert choose([AAC, OPUS], (Codec.CODEC_AAC, Codec.CODEC_OPUS), 100_000) == OPUS
    assert choose([AAC, OPUS], (Codec.CODEC_AAC,), 100_000) is None


@given(RENDITIONS, st.permutations(DEFAULT_CODECS), st.integers(0, 10**6))
def test_the_choice_fits_and_nothing_better_fits(
    renditions: list[Rendition], codecs: list[Codec.ValueType], limit: int
) -> None:
    chosen = choose(renditions, codecs, limit)
    fitting = [r for r in renditions if not limit or r.bitrate_bps <= limit]
    assert (chosen is None) == (not fitting)
    if chosen is not None:
        assert chosen in fitting
        for other in fitting:
            assert (codecs.index(chosen.codec), -chosen.bitrate_bps) <= (codecs.index(other.codec), -other.bitrate_bps)
