"""Which network interface a service's address belongs on, judged from what `ip -json address` prints.

Pure. Source: spec resources, section 9.2, "start", steps 1 to 3.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

from msgspec import DecodeError, Struct, ValidationError, field, json

from standfast.agents.contract import Exit, OperationError

Address = IPv4Address | IPv6Address


class InterfaceAddress(Struct, frozen=True):
    """One address of an interface, as iproute2 prints it."""

    family: str = ""  # inet, inet6, or another family that does not matter here
    local: str = ""
    prefix: int = field(default=0, name="prefixlen")
    dadfailed: bool = False  # another machine on the link has this IPv6 address

    def has(self, address: Address) -> bool:
        """Tell whether this is `address`, however it is spelled."""
        return self.family == family_of(address) and ip_address(self.local) == address


class Interface(Struct, frozen=True):
    """One network interface, as iproute2 prints it."""

    name: str = field(default="", name="ifname")
    index: int = field(default=0, name="ifindex")
    flags: tuple[str, ...] = ()
    link_type: str = ""
    mac: str = field(default="", name="address")
    addresses: tuple[InterfaceAddress, ...] = field(default=(), name="addr_info")

    @property
    def is_up(self) -> bool:
        """Tell whether the administrator has switched the interface on."""
        return "UP" in self.flags

    @property
    def has_link(self) -> bool:
        """Tell whether the kernel sees a carrier: it is what ethtool calls "link detected"."""
        return "LOWER_UP" in self.flags

    @property
    def asks_neighbours(self) -> bool:
        """Tell whether addresses are resolved to Ethernet addresses on this link (ARP, neighbour discovery)."""
        return self.link_type == "ether" and "NOARP" not in self.flags


class Wanted(Struct, frozen=True, kw_only=True):
    """What the configuration says about the address. None: whatever fits."""

    address: Address
    prefix: int | None
    interface: str | None
    monitors_link: bool


_INTERFACES = json.Decoder(tuple[Interface, ...])


def family_of(address: Address) -> str:
    """Return `inet` or `inet6`."""
    return "inet" if address.version == 4 else "inet6"


def parse_address(text: str, family: str) -> tuple[Address, int | None]:
    """Read `ADDRESS[/prefix]`; `family` is inet, inet6, or auto or "" for what the address says."""
    if not text:
        raise OperationError(Exit.ARGUMENT, 'ip has no address; give it one, such as address="10.1.4.150"')
    try:
        whole = ip_interface(text)
    except ValueError:
        raise OperationError(
            Exit.ARGUMENT,
            f'address "{text}" is no IPv4 or IPv6 address; write it as 10.1.4.150 or 10.1.4.150/24',
        ) from None
    address = whole.ip
    if family not in {"", "auto", family_of(address)}:
        raise OperationError(
            Exit.ARGUMENT,
            f'address "{text}" is not of family "{family}"; remove family or write {family_of(address)}',
        )
    is_own = isinstance(address, IPv6Address) and (address.is_loopback or "%" in text)
    if address.is_unspecified or address.is_multicast or is_own:
        raise OperationError(Exit.ARGUMENT, f'address "{text}" cannot be moved between nodes; choose another')
    return address, whole.network.prefixlen if "/" in text else None


def parse_interfaces(text: bytes) -> tuple[Interface, ...]:
    """Read the output of `ip -json address`."""
    try:
        return _INTERFACES.decode(text or b"[]")
    except (ValidationError, DecodeError) as error:
        raise OperationError(Exit.GENERIC, f'cannot read the output of "ip -json address": {error}') from None


def holders(
    interfaces: tuple[Interface, ...], address: Address
) -> tuple[tuple[Interface, InterfaceAddress], ...]:
    """Return each place where the address is configured."""
    return tuple(
        (interface, found) for interface in interfaces for found in interface.addresses if found.has(address)
    )


def choose_interface(interfaces: tuple[Interface, ...], wanted: Wanted) -> tuple[Interface, int]:
    """Return the interface that takes the address, and the prefix to give it: that of its static neighbour.

    Raises OperationError with the reason for every interface in the subnet that does not do.
    """
    reasons: list[str] = []
    for interface in interfaces:
        if "SLAVE" in interface.flags or (wanted.interface and interface.name != wanted.interface):
            continue
        for static in interface.addresses:
            if static.family != family_of(wanted.address) or static.has(wanted.address):
                continue
            reason = _objection(interface, static, wanted)
            if reason is None:
                return interface, static.prefix
            if reason:
                reasons.append(reason)
    if reasons:
        raise OperationError(
            Exit.GENERIC, f"no interface takes {wanted.address}: {'; '.join(dict.fromkeys(reasons))}"
        )
    where = f'interface "{wanted.interface}"' if wanted.interface else "any interface"
    raise OperationError(
        Exit.GENERIC,
        f"no address in the subnet of {wanted.address} on {where} of this node; configure a static one there first",
    )


def _objection(interface: Interface, static: InterfaceAddress, wanted: Wanted) -> str | None:
    """Return why the address cannot stand beside `static`: None if it can, "" for another subnet."""
    if wanted.address not in ip_interface(f"{static.local}/{static.prefix}").network:
        return ""
    if wanted.prefix not in {None, static.prefix}:
        return f'"{interface.name}" has prefix /{static.prefix}, not /{wanted.prefix}'
    if not interface.is_up:
        return f'"{interface.name}" is down; switch it on with: ip link set {interface.name} up'
    if wanted.monitors_link and not interface.has_link:
        return f'"{interface.name}" has no link; check its cable and switch'
    return None
