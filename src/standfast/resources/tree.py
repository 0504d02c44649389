"""From the resources as written in cluster.conf to the tree of each service, with every value resolved.

Pure. What cannot be loaded is left out alone, and a finding says so.
Differs from rgmanager: a bad element does not take its later siblings with it, because nobody would notice.
Source: spec resources, sections 2.2 to 2.7.
"""

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct, structs

from standfast.conf.model import ResourceElement, ResourceManager, Service
from standfast.resources.agent import (
    Action,
    AgentMetadata,
    Agents,
    ChildType,
    Parameter,
    with_resource_defaults,
)
from standfast.resources.place import PLACE_ATTRIBUTES, override_actions, read_place
from standfast.resources.resource import (
    Finding,
    Forest,
    Independence,
    ResourceKey,
    ResourceNode,
    Tree,
    resources_below,
)
from standfast.terms import ServiceName


def build_trees(rm: ResourceManager, agents: Agents) -> Forest:
    """Return the trees of all services.

    They are made together, since names, unique values and maxinstances hold over the whole file.
    """
    builder = _Builder(with_resource_defaults(agents, rm.resource_defaults))
    for element in rm.resources:
        builder.define(element)
    findings = builder.take_findings()
    trees = tuple(builder.plant(service) for service in rm.services)
    return Forest(trees=_without_shared_non_critical(trees), findings=findings)


def build_tree(service: ServiceName, rm: ResourceManager, agents: Agents) -> Tree | None:
    """Return the tree of one service of the file, None where the file has no such service."""
    return next((tree for tree in build_trees(rm, agents).trees if tree.service == service), None)


class _Definition(Struct, kw_only=True):
    """One loaded resource, before it has a place. `own` holds written values and defaults."""

    agent: AgentMetadata
    name: str
    own: dict[str, str]
    actions: tuple[Action, ...]
    line: int
    shared: bool
    references: int = 0


class _Ancestor(Struct, frozen=True):
    type: str  # in lower case
    values: dict[str, str]


class _Builder:
    """What has been loaded so far, over all services; lives for one call of build_trees."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._loaded: dict[str, list[_Definition]] = {}
        self._findings: list[Finding] = []
        self._keys: set[ResourceKey] = set()

    def take_findings(self) -> tuple[Finding, ...]:
        findings = tuple(sorted(self._findings))
        self._findings.clear()
        return findings

    def define(self, element: ResourceElement) -> None:
        """Load one element of <resources>."""
        agent = self._find_agent(element)
        if agent is not None:
            self._load(element, agent, shared=True)

    def plant(self, service: Service) -> Tree:
        """Build the tree of one service."""
        agent = self._find_agent(service.element)
        if agent is None:
            return Tree(service=service.name, root=None, findings=self.take_findings())
        root = self._attach(service.element, agent, ChildType(type=agent.type), parent=None, ancestors=())
        return Tree(
            service=service.name,
            root=root,
            findings=self.take_findings(),
            init_on_add=agent.init_on_add,
            destroy_on_delete=agent.destroy_on_delete,
        )

    def _attach(
        self,
        element: ResourceElement,
        agent: AgentMetadata,
        level: ChildType,
        parent: ResourceKey | None,
        ancestors: tuple[_Ancestor, ...],
    ) -> ResourceNode | None:
        definition = self._refer(element, agent) if element.get("ref") is not None else None
        if element.get("ref") is None:
            definition = self._load(element, agent, shared=False)
        if definition is None:
            return None
        place, problems = read_place(element, top_level=parent is None)
        for problem in problems:
            self._find(element, problem)
        inherited = dict(_inherited_values(agent, definition.own, ancestors))
        values = {
            parameter.name: value
            for parameter in agent.parameters
            if (value := _value_of(parameter, definition.own, inherited)) is not None
        }
        key = self._new_key(parent, f"{agent.type}:{definition.name}")
        return ResourceNode(
            key=key,
            type=agent.type,
            name=definition.name,
            parameters=tuple(values.items()),
            inherited=tuple(inherited),
            reconfig=tuple(parameter.name for parameter in agent.parameters if parameter.reconfig),
            actions=definition.actions,
            children=self._attach_children(
                element, agent, key, (*ancestors, _Ancestor(agent.type.lower(), values))
            ),
            start_level=level.start,
            stop_level=level.stop,
            status_word=agent.status_word,
            shared=definition.shared,
            place=place,
            line=element.line,
        )

    def _attach_children(
        self,
        element: ResourceElement,
        agent: AgentMetadata,
        key: ResourceKey,
        ancestors: tuple[_Ancestor, ...],
    ) -> tuple[ResourceNode, ...]:
        nodes = []
        for child, level in self._in_tree_order(element, agent):
            if level.forbid:
                self._find(
                    child, f'"{child.type}" is not allowed below "{agent.type}" and is left out; move it'
                )
                continue
            child_agent = self._find_agent(child)
            if child_agent is not None:
                nodes.append(self._attach(child, child_agent, level, key, ancestors))
        return tuple(node for node in nodes if node is not None)

    def _in_tree_order(
        self, element: ResourceElement, agent: AgentMetadata
    ) -> Iterator[tuple[ResourceElement, ChildType]]:
        """Yield the children with their levels: declared types as the agent lists them, then the others as written."""
        declared: dict[str, ChildType] = {}
        for level in agent.children:
            declared.setdefault(level.type.lower(), level)
        for kind, level in declared.items():
            yield from ((child, level) for child in element.children if child.type.lower() == kind)
        for child in element.children:
            if child.type.lower() not in declared:
                yield child, ChildType(type=child.type)

    def _load(self, element: ResourceElement, agent: AgentMetadata, *, shared: bool) -> _Definition | None:
        own = _own_values(element, agent)
        name = own.get(agent.primary.name) if agent.primary is not None else None
        missing = [parameter.name for parameter in _needed(agent) if parameter.name not in own]
        if missing or not name:
            wanted = f'no "{missing[0]}"' if missing else "no name"
            self._find(element, f'"{element.type}" has {wanted} and is left out; give it one')
            return None
        known = {parameter.name for parameter in agent.parameters}
        self._find_ignored(element, known, f"is not a parameter of {agent.type}")
        collision = self._collision(agent, own)
        if collision is not None:
            attribute, other = collision
            self._find(
                element,
                f'"{agent.type}" with {attribute}="{own[attribute]}" is already in line {other.line}, and this one'
                f" is left out; change one of them, or define it in <resources> and use ref",
            )
            return None
        actions, problems = override_actions(agent, element.actions)
        for problem in problems:
            self._find(element, problem)
        definition = _Definition(
            agent=agent, name=name, own=own, actions=actions, line=element.line, shared=shared
        )
        self._loaded.setdefault(agent.type.lower(), []).append(definition)
        return definition

    def _refer(self, element: ResourceElement, agent: AgentMetadata) -> _Definition | None:
        ref = element.get("ref") or ""
        definition = self._find_definition(agent, ref)
        if definition is None:
            self._find(
                element,
                f'"{agent.type}" refers to "{ref}", which is not in <resources>, and is left out; define it there',
            )
            return None
        if not definition.shared:
            self._find(
                element,
                f'"{agent.type}" refers to "{ref}", which line {definition.line} defines inside a service, and is'
                f" left out; move that definition to <resources>",
            )
            return None
        if agent.maxinstances and definition.references >= agent.maxinstances:
            self._find(
                element,
                f'"{agent.type}" refers to "{ref}" more often than its agent allows ({agent.maxinstances}) and is'
                f" left out; remove one reference",
            )
            return None
        definition.references += 1
        self._find_ignored(element, set(), "has no effect beside ref")
        if element.actions:
            self._find(element, f'<action> has no effect beside ref; move it to "{ref}" in <resources>')
        return definition

    def _find_definition(self, agent: AgentMetadata, ref: str) -> _Definition | None:
        loaded = self._loaded.get(agent.type.lower(), [])
        keys = [p.name for p in agent.parameters if p.unique and p.required]
        by_name = (definition for definition in loaded if definition.name == ref)
        by_key = (definition for definition in loaded for key in keys if definition.own[key] == ref)
        return next(by_name, None) or next(by_key, None)

    def _collision(self, agent: AgentMetadata, own: dict[str, str]) -> tuple[str, _Definition] | None:
        unique = [p.name for p in agent.parameters if p.unique or p is agent.primary]
        loaded = self._loaded.get(agent.type.lower(), [])
        hits = (
            (name, other)
            for other in loaded
            for name in unique
            if name in own and own[name] == other.own.get(name)
        )
        return next(hits, None)

    def _find_agent(self, element: ResourceElement) -> AgentMetadata | None:
        agent = self._agents.get(element.type.lower())
        if agent is None:
            self._find(
                element,
                f'there is no agent for "{element.type}" and it is left out; install one, or remove it',
            )
        return agent

    def _find_ignored(self, element: ResourceElement, known: set[str], reason: str) -> None:
        for name, _ in element.attributes:
            if name not in known and name not in PLACE_ATTRIBUTES and name != "ref":
                self._find(element, f'"{name}" {reason} and is ignored; remove it')

    def _find(self, element: ResourceElement, text: str) -> None:
        self._findings.append(Finding(element.line, text))

    def _new_key(self, parent: ResourceKey | None, label: str) -> ResourceKey:
        path = label if parent is None else f"{parent}/{label}"
        key, count = ResourceKey(path), 1
        while key in self._keys:
            count += 1
            key = ResourceKey(f"{path}#{count}")
        self._keys.add(key)
        return key


def _needed(agent: AgentMetadata) -> Iterator[Parameter]:
    return (parameter for parameter in agent.parameters if parameter.required or parameter is agent.primary)


def _own_values(element: ResourceElement, agent: AgentMetadata) -> dict[str, str]:
    """Return what is written, and the defaults of what is neither written nor inherited."""
    own = {}
    for parameter in agent.parameters:
        written = element.get(parameter.name)
        default = parameter.default if parameter.inherit is None else None
        value = default if written is None else written
        if value is not None:
            own[parameter.name] = value
    return own


def _inherited_values(
    agent: AgentMetadata, own: dict[str, str], ancestors: tuple[_Ancestor, ...]
) -> Iterator[tuple[str, str]]:
    for parameter in agent.parameters:
        if parameter.inherit is not None and parameter.name not in own:
            value = _look_up(parameter.inherit, ancestors)
            if value is not None:
                yield parameter.name, value


def _look_up(inherit: str, ancestors: tuple[_Ancestor, ...]) -> str | None:
    """Return the value that `attribute` or `type%attribute` names."""
    kind, percent, attribute = inherit.rpartition("%")
    nearest_first = reversed(ancestors)
    if percent:
        owner = next((ancestor for ancestor in nearest_first if ancestor.type == kind.lower()), None)
    else:
        owner = next(nearest_first, None)
    return None if owner is None else owner.values.get(attribute)


def _value_of(parameter: Parameter, own: dict[str, str], inherited: dict[str, str]) -> str | None:
    return own.get(parameter.name, inherited.get(parameter.name, parameter.default))


def _without_shared_non_critical(trees: tuple[Tree, ...]) -> tuple[Tree, ...]:
    """Return the trees with every definition that has several places merely independent there, not non-critical."""
    places = Counter(
        (node.type, node.name)
        for tree in trees
        if tree.root is not None
        for node in resources_below(tree.root)
        if node.shared
    )
    return tuple(
        tree
        if tree.root is None
        else structs.replace(tree, root=_with_independence_of_shared(tree.root, places))
        for tree in trees
    )


def _with_independence_of_shared(node: ResourceNode, places: Counter[tuple[str, str]]) -> ResourceNode:
    place = node.place
    if place.independence is Independence.NON_CRITICAL and places[node.type, node.name] > 1:
        place = structs.replace(place, independence=Independence.INDEPENDENT)
    children = tuple(_with_independence_of_shared(child, places) for child in node.children)
    return structs.replace(node, place=place, children=children)
