"""Who answered, and how long nobody did."""

from standfast.lab.probes import Probe, answering_nodes, decode_probe, silences


def probe(done_ms: float, answer: str | None) -> Probe:
    return Probe(sent_ms=done_ms - 1, done_ms=done_ms, done_unix_ms=done_ms, answer=answer)


def test_the_last_word_of_the_page_names_the_node() -> None:
    assert probe(1, "Hello from vapp2").node == "vapp2"
    assert probe(1, None).node is None
    assert probe(1, "").node is None


def test_a_takeover_is_one_silence_between_two_nodes() -> None:
    seen = [probe(10, "from vapp1"), probe(20, "from vapp1"), probe(90, None), probe(160, "from vapp2")]
    (silence,) = silences(seen, longer_than_ms=50)
    assert (silence.since.node, silence.until and silence.until.node, silence.length_ms) == (
        "vapp1",
        "vapp2",
        140,
    )
    assert answering_nodes(seen) == ("vapp1", "vapp2")


def test_a_silence_that_lasts_has_no_end() -> None:
    seen = [probe(10, "from vapp1"), probe(300, None)]
    (silence,) = silences(seen, longer_than_ms=50)
    assert silence.until is None
    assert silence.length_ms is None


def test_short_silences_do_not_count() -> None:
    assert silences([probe(10, "a"), probe(30, None), probe(55, "a")], longer_than_ms=50) == ()


def test_a_prober_s_line_is_read_back() -> None:
    line = '{"sent_ms":1.0,"done_ms":2.5,"done_unix_ms":3.0,"answer":null,"failure":"Connection refused"}'
    assert decode_probe(line).failure == "Connection refused"
