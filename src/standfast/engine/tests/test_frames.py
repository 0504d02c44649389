"""Frames arrive in pieces and come out whole, and what is no frame is said to be none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.engine import frames
from standfast.engine.contract import MESSAGE_BYTES_MAX, Message
from standfast.terms import NodeId


@given(st.lists(st.binary(max_size=50)), st.integers(1, 20))
def test_frames_come_out_whole_however_they_are_cut(payloads: list[bytes], size: int) -> None:
    stream = b"".join(frames.encode(frames.Send(payload)) for payload in payloads)
    reader = frames.Reader(frames.to_sequencer)
    found = [frame for i in range(0, len(stream), size) for frame in reader.feed(stream[i : i + size])]
    assert found == [frames.Send(payload) for payload in payloads]


def test_the_longest_message_fits() -> None:
    message = Message(NodeId(65535), bytes(MESSAGE_BYTES_MAX))
    assert frames.Reader(frames.from_sequencer).feed(frames.encode(message)) == [message]


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_frame_is_an_error(garbage: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.Reader(frames.to_sequencer).feed(garbage)


def test_a_frame_of_the_other_direction_is_an_error() -> None:
    with pytest.raises(frames.FrameError):
        frames.Reader(frames.to_sequencer).feed(frames.encode(frames.Ping(1)))
