"""Fair shares of a tick: bounded work, and no identity starves another."""

from __future__ import annotations

from protocol.errors import Refusal
from vehicle_agent.core.fair import FairShare
from vehicle_agent.core.rate import Bucket, Buckets

NAMES = [f"console-{number}" for number in range(8)]
MS = 1_000_000


def test_flood_of_one__only_the_newest_is_looked_at() -> None:
    share = FairShare(NAMES, of_one=1, of_all=4)
    flood = [(NAMES[0], b"%d" % number) for number in range(60)]

    assert share.pick(flood) == [(NAMES[0], b"59")]
    assert share.audit() == {NAMES[0]: {"heard": 60, "dropped": 59}}
    assert share.refusals() == {Refusal.RATE_LIMITED: 59}


def test_flood_of_one__anothers_message_is_looked_at_too() -> None:
    share = FairShare(NAMES, of_one=1, of_all=2)
    messages = [*((NAMES[0], b"flood") for _ in range(30)), (NAMES[1], b"stop")]
    messages += [(NAMES[0], b"flood")] * 30

    assert (NAMES[1], b"stop") in share.pick(messages)


def test_everybody_floods__each_is_looked_at_within_two_ticks() -> None:
    share = FairShare(NAMES, of_one=1, of_all=4)
    messages = [(name, b"stop") for name in NAMES] * 8

    picked = [share.pick(messages) for _ in range(2)]

    assert [len(each) for each in picked] == [4, 4]
    assert {author for each in picked for author, _ in each} == set(NAMES)


def test_one_who_was_quiet__comes_before_those_who_flood() -> None:
    share = FairShare(NAMES, of_one=1, of_all=1)
    for _ in range(7):
        share.pick([(name, b"flood") for name in NAMES[:7]])

    assert share.pick([(name, b"x") for name in NAMES]) == [(NAMES[7], b"x")]


def test_message_of_a_stranger__is_not_looked_at_and_counted_without_his_name() -> None:
    share = FairShare(NAMES, of_one=1, of_all=4)

    assert share.pick([("stranger", b"stop"), (NAMES[0], b"stop")]) == [(NAMES[0], b"stop")]
    assert share.refusals() == {Refusal.UNKNOWN_IDENTITY: 1}
    assert "stranger" not in share.audit()


def test_several_of_one_may_pass__they_keep_their_order() -> None:
    share = FairShare(NAMES, of_one=2, of_all=8)
    messages = [(NAMES[1], b"a"), (NAMES[0], b"b"), (NAMES[1], b"c"), (NAMES[1], b"d")]

    assert share.pick(messages) == [(NAMES[0], b"b"), (NAMES[1], b"c"), (NAMES[1], b"d")]


def test_bucket_after_a_rest__lets_a_burst_through_and_then_its_rate() -> None:
    bucket = Bucket(period_ns=10 * MS, burst=3)
    at_once = [bucket.take(1000 * MS) for _ in range(5)]
    later = [bucket.take(1010 * MS) for _ in range(2)]

    assert at_once == [True, True, True, False, False]
    assert later == [True, False]


def test_buckets__one_names_flood_leaves_anothers_alone_and_is_counted() -> None:
    buckets = Buckets(period_ns=10 * MS, burst=2)
    flood = [buckets.take("a", 1000 * MS) for _ in range(5)]

    assert flood == [True, True, False, False, False]
    assert buckets.take("b", 1000 * MS)
    assert buckets.dropped == {"a": 3}


def test_buckets_of_more_names_than_are_kept__those_heard_longest_ago_are_forgotten() -> None:
    buckets = Buckets(period_ns=10 * MS, burst=1, names_kept=2)
    for name in ("a", "a", "b", "c"):
        buckets.take(name, 1000 * MS)

    assert buckets.dropped == {}
    assert buckets.take("a", 1000 * MS)
