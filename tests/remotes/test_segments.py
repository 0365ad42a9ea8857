"""What segments make of a stream, by their names alone; whoever puts, merges and removes them."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from runfmt_sync.remotes.segments import (
    Part,
    Segment,
    chain,
    covered,
    digest_of,
    length_of,
    name_of,
    parse,
    to_merge,
    within,
)

STREAM = b"".join(b"%d\n" % number for number in range(60))
ENDS = [at + 1 for at, byte in enumerate(STREAM) if byte == 10]


def test_names_of_segments_are_read_as_they_are_written():
    segment = Segment(0, 12, hashlib.sha256(b"x").hexdigest()[:16])
    assert parse(name_of(segment)) == segment
    for wrong in (
        "",
        "0-1-x",
        name_of(segment) + "0",
        name_of(segment).upper(),
        name_of(Segment(5, 2, "0" * 16)),
    ):
        assert parse(wrong) is None


def test_chain_ends_at_a_gap_and_leaves_out_what_it_has():
    a, b, all_of, late = (Segment(*ends, "0" * 16) for ends in ((0, 5), (5, 9), (0, 9), (12, 15)))
    assert chain([late, b, a]) == [(a, 0), (b, 0)]
    assert chain([a, b, all_of]) == [(all_of, 0)]
    assert chain([a, Segment(3, 9, "0" * 16)]) == [(a, 0), (Segment(3, 9, "0" * 16), 2)]
    assert chain([late]) == []


def test_only_many_small_segments_at_the_end_are_merged():
    small = [Segment(10 * n, 10 * n + 10, "0" * 16) for n in range(40)]
    assert to_merge(chain(small), 2**23) == chain(small)
    assert to_merge(chain(small[:15]), 2**23) == []
    large = Segment(400, 400 + 2**21, "0" * 16)
    assert to_merge(chain([*small, large]), 2**23) == []


def test_merging_takes_what_overlaps_too():
    small = [Segment(10 * n, 10 * n + 15, "0" * 16) for n in range(20)]
    merging = to_merge(chain(small), 2**23)
    assert [part.skip for part in merging] == [0] + 19 * [5]


def test_only_what_lies_in_a_larger_segment_is_covered():
    a, b, large, across = (Segment(*ends, "0" * 16) for ends in ((0, 5), (5, 9), (0, 9), (5, 12)))
    parts = chain([a, b, large, across])
    assert parts == [Part(large, 0), Part(across, 4)]
    assert covered(parts, [a, b, large, across]) == {large: [a, b]}


def segment(start, end):
    return Segment(start, end, hashlib.sha256(STREAM[start:end]).hexdigest()[:16])


@given(st.data())
def test_stream_never_loses_a_byte_whoever_puts_merges_and_removes_at_once(data):
    there, seen = set(), [set()]
    for _ in range(data.draw(st.integers(1, 40))):
        listed = data.draw(st.sampled_from(seen))  # somebody listed a while ago, and acts only now
        parts = chain(listed)
        before, reached = length_of(chain(there)), length_of(parts)
        match data.draw(st.sampled_from(["put", "merge", "remove"])):
            case "put" if further := [end for end in ENDS if end > reached]:
                there.add(segment(reached, data.draw(st.sampled_from(further))))
            case "merge" if parts:
                merging = parts[data.draw(st.integers(0, len(parts) - 1)) :]
                there.add(segment(merging[0].segment.start + merging[0].skip, reached))
            case "remove":
                there -= {one for ones in covered(parts, listed).values() for one in ones}
        seen.append({*there})
        assert length_of(chain(there)) >= before
        assert (
            b"".join(STREAM[one.start + skip : one.end] for one, skip in chain(there))
            == STREAM[: length_of(chain(there))]
        )
        assert digest_of(within(there, length_of(chain(there)))) == digest_of(sorted(there))
