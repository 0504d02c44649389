"""The judgement over an address, also against a plain model of who has it."""

from hypothesis import given
from hypothesis import strategies as st

from standfast.lab.calls import AddressChange, AddressEvent
from standfast.lab.watcher import Holding, Verdict, holdings, never_on_two

SERVICE = "10.1.4.150"


def event(at_ms: float, node: str, change: AddressChange, address: str = SERVICE) -> AddressEvent:
    return AddressEvent(at_ms=at_ms, unix_ms=at_ms, node=node, change=change, address=address)


def test_an_address_that_moves_is_never_on_two_nodes() -> None:
    events = (
        event(1, "vapp1", AddressChange.ADDED),
        event(2, "vapp1", AddressChange.REMOVED),
        event(3, "vapp2", AddressChange.ADDED),
    )
    assert never_on_two(events, SERVICE).verdict is Verdict.KEPT
    assert holdings(events, SERVICE) == (
        Holding(node="vapp1", from_ms=1, until_ms=2),
        Holding(node="vapp2", from_ms=3, until_ms=None),
    )


def test_an_address_that_comes_before_it_went_is_on_two_nodes() -> None:
    events = (
        event(1, "vapp1", AddressChange.ADDED),
        event(2, "vapp2", AddressChange.ADDED),
        event(3, "vapp1", AddressChange.REMOVED),
    )
    judgement = never_on_two(events, SERVICE)
    assert judgement.verdict is Verdict.BROKEN
    assert judgement.because == "vapp2 got 10.1.4.150 while vapp1 had it"


def test_a_dead_node_has_no_address() -> None:
    events = (
        event(1, "vapp1", AddressChange.ADDED),
        event(2, "vapp1", AddressChange.POWERED_OFF, ""),
        event(3, "vapp2", AddressChange.ADDED),
    )
    assert never_on_two(events, SERVICE).verdict is Verdict.KEPT


def test_other_addresses_do_not_matter() -> None:
    events = (
        event(1, "vapp1", AddressChange.ADDED, "10.1.4.201"),
        event(2, "vapp2", AddressChange.ADDED),
        event(3, "vapp2", AddressChange.REMOVED, "10.1.4.202"),
    )
    assert never_on_two(events, SERVICE).verdict is Verdict.KEPT
    assert holdings(events, SERVICE) == (Holding(node="vapp2", from_ms=2, until_ms=None),)


def test_lost_events_make_the_verdict_unknown() -> None:
    events = (event(1, "vapp1", AddressChange.ADDED), event(2, "vapp2", AddressChange.LOST_TRACK, ""))
    assert never_on_two(events, SERVICE).verdict is Verdict.UNKNOWN


def test_an_address_that_nobody_ever_had_proves_nothing() -> None:
    assert never_on_two((), SERVICE).verdict is Verdict.UNKNOWN


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["vapp1", "vapp2", "vapp3"]),
            st.sampled_from([AddressChange.ADDED, AddressChange.REMOVED, AddressChange.POWERED_OFF]),
        )
    )
)
def test_the_verdict_is_broken_exactly_when_two_holdings_overlap(
    changes: list[tuple[str, AddressChange]],
) -> None:
    events = tuple(
        event(at, node, change, "" if change is AddressChange.POWERED_OFF else SERVICE)
        for at, (node, change) in enumerate(changes)
    )
    found = holdings(events, SERVICE)
    end = float(len(events))
    overlap = any(
        one.from_ms < (other.until_ms or end) and other.from_ms < (one.until_ms or end)
        for index, one in enumerate(found)
        for other in found[index + 1 :]
    )
    assert (never_on_two(events, SERVICE).verdict is Verdict.BROKEN) == overlap
