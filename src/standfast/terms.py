"""The words that every room uses: node ids, service names, and the few other ids of the field."""

from typing import NewType

NodeId = NewType("NodeId", int)
"""A clusternode's nodeid, 1..65535."""

ServiceName = NewType("ServiceName", str)
"""A top-level group's full name, `type:name`, such as `service:VirtualHTTP`."""

Incarnation = NewType("Incarnation", str)
"""One run of a node's daemon; a new one each time the daemon starts."""

BootId = NewType("BootId", str)
"""One boot of a machine; a new one each time the machine starts."""
