"""The sequencer's judgement, with times that are numbers and outlets that keep what was written."""

from typing import TypeVar

from standfast.engine import frames
from standfast.engine.contract import Message, Notice
from standfast.engine.exchange import Exchange, Link
from standfast.engine.flow import INBOX_BYTES_MAX
from standfast.membership.view import Departure, DepartureReason, View
from standfast.terms import NodeId

T = TypeVar("T")

ONE, TWO = NodeId(1), NodeId(2)
TOKEN_MS = 1000


class Kept:
    """An outlet that keeps what was written."""

    def __init__(self) -> None:
        self.delay_ms = 0
        self.frames: list[frames.FromSequencer] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.frames += frames.Reader(frames.from_sequencer).feed(data)

    def close(self) -> None:
        self.is_closed = True


class Client:
    """A connection that answers pings while it is awake."""

    def __init__(self, exchange: Exchange, first: frames.ToSequencer) -> None:
        self.exchange = exchange
        self.outlet = Kept()
        self.link = Link(self.outlet)
        self.is_awake = True
        self._answered = 0
        self.send(first)

    def send(self, frame: frames.ToSequencer) -> None:
        self.exchange.receive(self.link, frame)

    def answer(self) -> None:
        pings = self.told(frames.Ping)
        if self.is_awake and len(pings) > self._answered:
            self._answered = len(pings)
            self.send(frames.Pong(pings[-1].number))

    def told(self, kind: type[T]) -> list[T]:
        return [frame for frame in self.outlet.frames if isinstance(frame, kind)]


def daemon(exchange: Exchange, nodeid: NodeId) -> Client:
    return Client(exchange, frames.Attach(nodeid, f"vapp{nodeid}"))


def let_pass(exchange: Exchange, clients: list[Client], *, from_ms: int, to_ms: int) -> None:
    """Tick at the regular interval; those who are awake answer."""
    for now_ms in range(from_ms, to_ms, exchange.tick_ms):
        exchange.tick(now_ms)
        for client in clients:
            client.answer()


def last_members(client: Client) -> tuple[int, ...]:
    return client.told(View)[-1].members


def pair() -> tuple[Exchange, Client, Client]:
    exchange = Exchange(token_ms=TOKEN_MS, last_view_id=0)
    return exchange, daemon(exchange, ONE), daemon(exchange, TWO)


def test_whoever_answers_stays() -> None:
    exchange, one, two = pair()
    let_pass(exchange, [one, two], from_ms=0, to_ms=60_000)
    assert last_members(one) == (1, 2)
    assert len(one.told(View)) == 2


def test_whoever_is_silent_for_the_token_time_is_given_up_and_comes_back_with_an_answer() -> None:
    exchange, one, two = pair()
    two.is_awake = False
    let_pass(exchange, [one, two], from_ms=0, to_ms=TOKEN_MS)
    assert last_members(one) == (1, 2)
    let_pass(exchange, [one, two], from_ms=TOKEN_MS, to_ms=TOKEN_MS + 200)
    assert last_members(one) == (1,)
    assert one.told(View)[-1].left == (Departure(TWO, DepartureReason.NODE_DOWN),)
    assert last_members(two) == (1, 2)
    two.is_awake = True
    two.answer()
    assert last_members(one) == last_members(two) == (1, 2)
    assert two.told(View)[-1].joined == (1,)


def test_a_node_that_is_given_up_gets_no_messages_and_its_own_wait() -> None:
    exchange, one, two = pair()
    two.is_awake = False
    let_pass(exchange, [one, two], from_ms=0, to_ms=2 * TOKEN_MS)
    one.send(frames.Send(b"without two"))
    two.send(frames.Send(b"patience"))
    assert [message.payload for message in one.told(Message)] == [b"without two"]
    assert two.told(Message) == []
    two.is_awake = True
    two.answer()
    assert two.told(Message) == one.told(Message)[1:] == [Message(TWO, b"patience")]


def test_when_the_sequencer_itself_stood_still_nobody_is_given_up() -> None:
    exchange, one, two = pair()
    let_pass(exchange, [one, two], from_ms=0, to_ms=1000)
    exchange.tick(1000)
    exchange.tick(60_000)
    assert last_members(one) == (1, 2)
    one.answer()
    two.answer()
    let_pass(exchange, [one, two], from_ms=60_100, to_ms=70_000)
    assert len(one.told(View)) == 2


def test_an_answer_to_an_older_ping_counts_for_nothing() -> None:
    exchange, one, two = pair()
    let_pass(exchange, [one, two], from_ms=0, to_ms=1000)
    two.is_awake = False
    let_pass(exchange, [one, two], from_ms=1000, to_ms=4000)
    two.send(frames.Pong(1))
    assert last_members(one) == (1,)


def test_who_leaves_while_it_is_given_up_is_let_go() -> None:
    exchange, one, two = pair()
    two.is_awake = False
    let_pass(exchange, [one, two], from_ms=0, to_ms=2 * TOKEN_MS)
    two.send(frames.Send(b"never ordered"))
    two.send(frames.Goodbye())
    assert two.told(frames.Farewell) == [frames.Farewell()]
    assert two.outlet.is_closed


def test_what_crosses_with_the_end_of_a_membership_is_ignored() -> None:
    _, one, two = pair()
    two.send(frames.Goodbye())
    two.send(frames.Send(b"too late"))
    two.send(frames.Taken(1))
    assert one.told(Message) == []
    assert two.told(frames.Refusal) == []


def test_a_daemon_that_sends_without_measure_is_sent_away() -> None:
    exchange, one, two = pair()
    two.is_awake = False
    let_pass(exchange, [one, two], from_ms=0, to_ms=2 * TOKEN_MS)
    for _ in range(INBOX_BYTES_MAX // 1024 // 1024):
        two.send(frames.Send(bytes(1024 * 1024)))
    (refusal,) = two.told(frames.Refusal)
    assert refusal.code == "engine-flooded"
    assert two.outlet.is_closed


def test_a_daemon_that_is_turned_away_is_told_and_so_are_the_others() -> None:
    exchange, one, two = pair()
    second = daemon(exchange, TWO)
    (refusal,) = second.told(frames.Refusal)
    assert "node id 2 is in use by vapp2" in refusal.text
    assert second.outlet.is_closed
    exchange.end(second.link)
    assert one.told(Notice) == two.told(Notice) != []
    assert last_members(one) == (1, 2)


def test_the_end_of_a_connection_is_the_end_of_its_daemon_or_machine() -> None:
    exchange, one, two = pair()
    machine = Client(exchange, frames.Hold(TWO))
    exchange.end(two.link)
    assert one.told(View)[-1].left == (Departure(TWO, DepartureReason.PROCESS_DOWN),)
    assert one.told(View)[-1].hosts == (1, 2)
    exchange.end(machine.link)
    assert one.told(View)[-1].hosts == (1,)


def test_a_delay_is_for_the_daemon_that_is_there_and_for_the_next() -> None:
    exchange, one, two = pair()
    one.send(frames.Delay(TWO, 50))
    assert (one.outlet.delay_ms, two.outlet.delay_ms) == (0, 50)
    exchange.end(two.link)
    again = daemon(exchange, TWO)
    assert again.outlet.delay_ms == 50
    one.send(frames.HealAll())
    assert again.outlet.delay_ms == 0
