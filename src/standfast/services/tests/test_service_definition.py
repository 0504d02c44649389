"""When a changed cluster.conf means that a service must be restarted, and when it does not."""

import pytest
from msgspec.structs import replace

from standfast.conf.model import ResourceElement, Service
from standfast.services.definition import POLICY, definition
from standfast.terms import ServiceName

SCRIPT = ResourceElement(type="script", attributes=(("ref", "http"),))
SHARED = ResourceElement(
    type="script",
    attributes=(("name", "http"), ("file", "/etc/init.d/http")),
    actions=((("name", "status"),),),
)
SERVICE = Service(
    name=ServiceName("service:web"),
    element=ResourceElement(
        type="service", attributes=(("name", "web"), ("domain", "a")), children=(SCRIPT,), line=12
    ),
)


def with_attributes(*attributes: tuple[str, str]) -> Service:
    return replace(SERVICE, element=replace(SERVICE.element, attributes=attributes))


@pytest.mark.parametrize("name", sorted(POLICY))
def test_change_of_a_policy_attribute_restarts_nothing(name: str) -> None:
    changed = with_attributes(("name", "web"), (name, "another"))
    assert definition(changed, (SHARED,)) == definition(SERVICE, (SHARED,))


@pytest.mark.parametrize("name", ["max_restarts", "depend", "nfslock"])
def test_change_of_another_attribute_restarts_it(name: str) -> None:
    changed = with_attributes(("name", "web"), ("domain", "a"), (name, "1"))
    assert definition(changed, (SHARED,)) != definition(SERVICE, (SHARED,))


def test_order_of_attributes_and_place_in_the_file_mean_nothing() -> None:
    moved = with_attributes(("domain", "a"), ("name", "web"))
    assert definition(replace(moved, element=replace(moved.element, line=99)), (SHARED,)) == definition(
        SERVICE, (SHARED,)
    )


def test_order_of_resources_matters() -> None:
    ip = ResourceElement(type="ip", attributes=(("address", "10.1.4.150"),))
    one = replace(SERVICE, element=replace(SERVICE.element, children=(ip, SCRIPT)))
    other = replace(SERVICE, element=replace(SERVICE.element, children=(SCRIPT, ip)))
    assert definition(one, (SHARED,)) != definition(other, (SHARED,))


def test_change_of_a_resource_that_it_refers_to_restarts_it() -> None:
    changed = replace(SHARED, attributes=(("name", "http"), ("file", "/etc/init.d/httpd")))
    assert definition(SERVICE, (changed,)) != definition(SERVICE, (SHARED,))
    timed = replace(SHARED, actions=((("name", "status"), ("interval", "5")),))
    assert definition(SERVICE, (timed,)) != definition(SERVICE, (SHARED,))


def test_change_of_a_resource_of_another_name_or_type_restarts_nothing() -> None:
    others = (
        ResourceElement(type="ip", attributes=(("name", "http"),)),
        ResourceElement(type="script", attributes=(("name", "ftp"),)),
    )
    assert definition(SERVICE, (*others, SHARED)) == definition(SERVICE, (SHARED,))


def test_reference_to_nothing_is_a_definition_of_its_own() -> None:
    assert definition(SERVICE, ()) != definition(SERVICE, (SHARED,))


def test_reference_deep_in_the_tree_is_resolved() -> None:
    fs = ResourceElement(type="fs", attributes=(("name", "disk"),), children=(SCRIPT,))
    deep = replace(SERVICE, element=replace(SERVICE.element, children=(fs,)))
    assert definition(deep, ()) != definition(deep, (SHARED,))
