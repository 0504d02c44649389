"""The local engine's flow control loses nothing, keeps each sender's order, and keeps its limits."""

from hypothesis import given
from hypothesis import strategies as st

from standfast.engine.flow import INBOX_BYTES_MAX, OWED_BYTES_MAX, Flow, cost_of
from standfast.terms import NodeId

ONE, TWO = NodeId(1), NodeId(2)
BIG = bytes(1024 * 1024)


def everyone(_: NodeId) -> tuple[NodeId, ...]:
    return (ONE, TWO)


def flow_of(*nodes: NodeId) -> Flow:
    flow = Flow()
    for node in nodes:
        flow.open(node)
    return flow


def fill(flow: Flow) -> int:
    """Send big messages until a receiver is full; returns how many were ordered."""
    ordered = 0
    while True:
        flow.push(ONE, BIG)
        if flow.pop(everyone) is None:
            return ordered
        ordered += 1


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO]), st.binary(max_size=4))))
def test_everything_comes_out_once_and_in_each_senders_order(sent: list[tuple[NodeId, bytes]]) -> None:
    flow = flow_of(ONE, TWO)
    for sender, payload in sent:
        assert flow.push(sender, payload)
    popped = [ordered[:2] for ordered in iter(lambda: flow.pop(everyone), None)]
    for node in (ONE, TWO):
        assert [item for item in popped if item[0] == node] == [item for item in sent if item[0] == node]


def test_senders_take_turns() -> None:
    flow = flow_of(ONE, TWO)
    for sender in (ONE, ONE, ONE, TWO, TWO):
        flow.push(sender, b"")
    senders = [ordered[0] for ordered in iter(lambda: flow.pop(everyone), None)]
    assert senders == [ONE, TWO, ONE, TWO, ONE]


def test_a_sender_without_a_view_waits() -> None:
    flow = flow_of(ONE)
    flow.push(ONE, b"x")
    assert flow.pop(lambda _: ()) is None
    assert flow.has_unordered(ONE)
    assert flow.pop(lambda _: (ONE,)) == (ONE, b"x", (ONE,))
    assert not flow.has_unordered(ONE)


def test_a_full_receiver_stops_its_senders_until_it_has_taken_something() -> None:
    flow = flow_of(ONE, TWO)
    assert fill(flow) == OWED_BYTES_MAX // len(BIG)
    flow.take(ONE, cost_of(BIG))
    assert flow.pop(everyone) is None
    assert not flow.has_room(TWO)
    flow.take(TWO, 3 * cost_of(BIG))
    assert flow.has_room(TWO)
    assert flow.pop(everyone) is not None


def test_a_receiver_that_is_full_and_takes_nothing_is_stuck_after_a_while() -> None:
    flow = flow_of(ONE, TWO)
    fill(flow)
    assert [flow.stuck(now_ms, patience_ms=100) for now_ms in (0, 50, 90)] == [(), (), ()]
    flow.take(ONE, 10)
    assert [flow.stuck(now_ms, patience_ms=100) for now_ms in (140, 150)] == [(TWO,), (TWO,)]
    assert flow.stuck(240, patience_ms=100) == (ONE, TWO)


def test_a_receiver_that_takes_a_little_is_not_stuck() -> None:
    flow = flow_of(ONE)
    while flow.push(ONE, BIG) and flow.pop(lambda _: (ONE,)) is not None:
        pass
    for now_ms in range(0, 1000, 50):
        assert flow.stuck(now_ms, patience_ms=100) == ()
        flow.take(ONE, 1)


def test_a_sender_that_ignores_its_limit_is_noticed() -> None:
    flow = flow_of(ONE)
    answers = [flow.push(ONE, BIG) for _ in range(INBOX_BYTES_MAX // len(BIG))]
    assert answers == [True, True, True, False]


def test_who_is_gone_takes_its_messages_along() -> None:
    flow = flow_of(ONE, TWO)
    flow.push(ONE, b"lost")
    flow.push(TWO, b"kept")
    flow.close(ONE)
    assert flow.pop(lambda _: (TWO,)) == (TWO, b"kept", (TWO,))
    assert flow.pop(lambda _: (TWO,)) is None
