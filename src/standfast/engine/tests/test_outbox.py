"""What a daemon has to say: in order, in parts, within a window, and again where a view came between."""

from hypothesis import given
from hypothesis import strategies as st

from standfast.engine.group_frames import Part
from standfast.engine.outbox import PART_BYTES, PART_COST, WINDOW_BYTES, Outbox

sizes = st.lists(st.integers(0, 3 * PART_BYTES), min_size=1, max_size=6)


def taken(outbox: Outbox, view_id: int = 1) -> list[Part]:
    return list(outbox.parts(view_id))


def returned(outbox: Outbox, parts: list[Part]) -> None:
    for part in parts:
        outbox.came_back(part)
        outbox.accepted(part)


@given(sizes)
def test_messages_come_whole_and_in_order_through_the_window(sizes: list[int]) -> None:
    payloads = [bytes([k]) * size for k, size in enumerate(sizes)]
    outbox = Outbox()
    for payload in payloads:
        outbox.put(payload)
    said: dict[int, bytes] = {}
    while not outbox.is_empty:
        parts = taken(outbox)
        assert parts
        assert sum(len(p.data) + PART_COST for p in parts[1:]) <= WINDOW_BYTES
        for part in parts:
            said[part.number] = said.get(part.number, b"") + part.data
        returned(outbox, parts)
    assert list(said.values()) == payloads


@given(sizes, st.integers(0, 40))
def test_what_a_new_view_interrupts_is_said_again_from_its_first_part(sizes: list[int], back: int) -> None:
    outbox = Outbox()
    for size in sizes:
        outbox.put(bytes(size))
    parts = taken(outbox)
    returned(outbox, parts[:back])
    whole = {p.number for p in parts[:back] if p.index == p.count - 1}
    outbox.rewind()
    again = taken(outbox, view_id=2)
    if len(whole) == len(sizes):
        assert again == []
    else:
        assert (again[0].number, again[0].index, again[0].view_id) == (len(whole) + 1, 0, 2)


def test_nothing_more_is_sent_until_something_comes_back() -> None:
    outbox = Outbox()
    for _ in range(8):
        outbox.put(bytes(PART_BYTES))
    parts = taken(outbox)
    assert taken(outbox) == []
    outbox.came_back(parts[0])
    assert len(taken(outbox)) == 1


def test_an_empty_message_is_one_part() -> None:
    outbox = Outbox()
    outbox.put(b"")
    (part,) = taken(outbox)
    assert (part.count, part.data) == (1, b"")
    returned(outbox, [part])
    assert outbox.is_empty
