"""Which interface takes an address."""

from ipaddress import ip_address

import pytest

from standfast.agents.addresses import (
    Interface,
    InterfaceAddress,
    Wanted,
    choose_interface,
    holders,
    parse_address,
    parse_interfaces,
)
from standfast.agents.contract import Exit, OperationError

UP = ("BROADCAST", "UP", "LOWER_UP")
SHOWN = b"""[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"link_type":"loopback",
"address":"00:00:00:00:00:00","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo"}]},
{"ifindex":3,"link":null,"ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,"link_type":"ether",
"address":"02:00:00:00:00:01","addr_info":[{"family":"inet","local":"10.1.4.201","prefixlen":24},{"family":"inet6",
"local":"fd00:4::1","prefixlen":64,"dadfailed":true,"tentative":true}]},{"ifname":"tun0","link_type":"none","flags":[],"addr_info":[]}]"""


def interface(name: str, *addresses: str, flags: tuple[str, ...] = UP) -> Interface:
    infos = []
    for text in addresses:
        local, _, prefix = text.partition("/")
        infos.append(InterfaceAddress("inet6" if ":" in local else "inet", local, int(prefix)))
    return Interface(name=name, index=2, flags=flags, link_type="ether", addresses=tuple(infos))


def wanted(text: str = "10.1.4.150", *, interface: str | None = None, monitors_link: bool = True) -> Wanted:
    address, prefix = parse_address(text, "auto")
    return Wanted(address=address, prefix=prefix, interface=interface, monitors_link=monitors_link)


def refusal(interfaces: tuple[Interface, ...], request: Wanted) -> str:
    with pytest.raises(OperationError) as caught:
        choose_interface(interfaces, request)
    assert caught.value.status is Exit.GENERIC
    return str(caught.value)


def test_output_of_iproute2_is_read() -> None:
    lo, eth0, tun0 = parse_interfaces(SHOWN)
    assert (lo.name, eth0.index, eth0.mac, tun0.addresses) == ("lo", 3, "02:00:00:00:00:01", ())
    assert (lo.asks_neighbours, eth0.asks_neighbours, tun0.asks_neighbours) == (False, True, False)
    assert (eth0.is_up, eth0.has_link, tun0.is_up, tun0.has_link) == (True, True, False, False)
    assert eth0.addresses[1].dadfailed


def test_no_output_is_no_interface() -> None:
    assert parse_interfaces(b"") == ()


def test_output_of_another_program_is_a_failure() -> None:
    with pytest.raises(OperationError, match="cannot read the output of"):
        parse_interfaces(b"1: lo: <LOOPBACK>")


def test_address_goes_beside_its_static_neighbour_with_that_prefix() -> None:
    interfaces = (interface("eth0", "192.0.2.1/24"), interface("eth1", "10.1.4.201/26", "10.1.4.201/24"))
    assert choose_interface(interfaces, wanted()) == (interfaces[1], 24)


def test_first_of_several_interfaces_wins() -> None:
    interfaces = (interface("eth0", "10.1.4.201/24"), interface("eth1", "10.1.4.202/24"))
    assert choose_interface(interfaces, wanted())[0].name == "eth0"
    assert choose_interface(interfaces, wanted(interface="eth1"))[0].name == "eth1"


def test_ipv6_address_needs_an_ipv6_neighbour() -> None:
    interfaces = (interface("eth0", "10.1.4.201/24"), interface("eth1", "fd00:4::1/64"))
    assert choose_interface(interfaces, wanted("FD00:4::0150")) == (interfaces[1], 64)


def test_given_prefix_must_be_that_of_the_interface() -> None:
    interfaces = (interface("eth0", "10.1.4.201/24"),)
    assert choose_interface(interfaces, wanted("10.1.4.150/24")) == (interfaces[0], 24)
    assert refusal(interfaces, wanted("10.1.4.150/16")) == (
        'no interface takes 10.1.4.150: "eth0" has prefix /24, not /16'
    )


def test_interface_that_is_down_is_passed_over_with_a_reason() -> None:
    down, up = interface("eth0", "10.1.4.201/24", flags=("BROADCAST",)), interface("eth1", "10.1.4.202/24")
    assert choose_interface((down, up), wanted()) == (up, 24)
    assert "ip link set eth0 up" in refusal((down,), wanted())


def test_interface_without_link_is_passed_over_where_the_link_is_monitored() -> None:
    unplugged = interface("eth0", "10.1.4.201/24", flags=("NO-CARRIER", "UP"))
    assert '"eth0" has no link' in refusal((unplugged,), wanted())
    assert choose_interface((unplugged,), wanted(monitors_link=False)) == (unplugged, 24)


def test_slaves_of_a_bond_are_passed_over() -> None:
    slave, bond = (
        interface("eth0", "10.1.4.201/24", flags=(*UP, "SLAVE")),
        interface("bond0", "10.1.4.201/24"),
    )
    assert choose_interface((slave, bond), wanted()) == (bond, 24)


def test_address_itself_is_no_static_neighbour() -> None:
    assert "no address in the subnet" in refusal((interface("eth0", "10.1.4.150/24"),), wanted())


def test_every_place_of_an_address_is_found_however_it_is_spelled() -> None:
    interfaces = (
        interface("eth0", "fd00:4:0::0150/64", "10.1.4.150/24"),
        interface("eth1", "fd00:4::150/128"),
    )
    assert [place.name for place, _ in holders(interfaces, ip_address("fd00:4::150"))] == ["eth0", "eth1"]


@pytest.mark.parametrize(
    ("text", "family", "expected"),
    [
        ("10.1.4.150", "", ("10.1.4.150", None)),
        ("10.1.4.150/24", "inet", ("10.1.4.150", 24)),
        ("FD00:4::150/64", "inet6", ("fd00:4::150", 64)),
        ("127.0.0.9", "auto", ("127.0.0.9", None)),
    ],
)
def test_address_is_read(text: str, family: str, expected: tuple[str, int | None]) -> None:
    address, prefix = parse_address(text, family)
    assert (str(address), prefix) == expected


@pytest.mark.parametrize(
    ("text", "family", "sentence"),
    [
        ("", "auto", "ip has no address"),
        ("10.1.4", "auto", 'address "10.1.4" is no IPv4 or IPv6 address'),
        ("10.1.4.150/33", "auto", "is no IPv4 or IPv6 address"),
        ("vapp1", "auto", "is no IPv4 or IPv6 address"),
        ("10.1.4.150; rm -rf /", "auto", "is no IPv4 or IPv6 address"),
        ("10.1.4.150", "inet6", 'is not of family "inet6"; remove family or write inet'),
        ("fd00::1", "inet", 'is not of family "inet"; remove family or write inet6'),
        ("fd00::1", "decnet", 'is not of family "decnet"'),
        ("0.0.0.0", "auto", "cannot be moved between nodes"),
        ("224.0.0.1", "auto", "cannot be moved between nodes"),
        ("::1", "auto", "cannot be moved between nodes"),
        ("fe80::1%eth0/64", "auto", "cannot be moved between nodes"),
        ("0:0::1/128", "auto", "cannot be moved between nodes"),
    ],
)
def test_text_that_is_no_usable_address_is_an_invalid_argument(text: str, family: str, sentence: str) -> None:
    with pytest.raises(OperationError) as caught:
        parse_address(text, family)
    assert caught.value.status is Exit.ARGUMENT
    assert sentence in str(caught.value)
