"""What a service is made of, apart from where it stands in the file and from the policy that needs no restart.

Pure. Source: spec resources, section 7 (reconfig parameters of `service`).
"""

from msgspec.structs import replace

from standfast.conf.model import ResourceElement, Service

POLICY = frozenset({"domain", "autostart", "hardrecovery", "exclusive", "recovery"})
"""Attributes of <service> whose change restarts nothing."""


def definition(service: Service, resources: tuple[ResourceElement, ...]) -> ResourceElement:
    """Return the service's tree with each `ref` joined with what it refers to; equal trees need no restart."""
    element = _resolved(service.element, resources)
    kept = tuple((name, value) for name, value in element.attributes if name not in POLICY)
    return replace(element, attributes=kept)


def _resolved(element: ResourceElement, resources: tuple[ResourceElement, ...]) -> ResourceElement:
    children = tuple(_resolved(child, resources) for child in element.children)
    attributes = element.attributes
    actions = element.actions
    reference = element.get("ref")
    if reference is not None:
        for shared in resources:
            if shared.type == element.type and any(value == reference for _, value in shared.attributes):
                attributes = (*attributes, *shared.attributes)
                actions = (*actions, *shared.actions)
                break
    ordered = tuple(sorted(attributes))
    return ResourceElement(type=element.type, attributes=ordered, children=children, actions=actions)
