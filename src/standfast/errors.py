"""What can go wrong in a way that a person can act on, as one class for each thing a caller can do about it."""


class StandfastError(Exception):
    """An expected failure: its text says where, what is wrong and what to do; `code` names it in docs/errors.md."""

    def __init__(self, text: str, *, code: str) -> None:
        super().__init__(text)
        self.code = code


class ConfError(StandfastError):
    """A cluster.conf that cannot be used; mend the file."""


class AgentError(StandfastError):
    """A resource agent whose meta-data cannot be used; mend or remove the agent."""


class RefusedError(StandfastError):
    """The cluster or its engine does not admit this node; mend what the text names, then start again."""


class NotQuorateError(StandfastError):
    """The node has no quorum; start more nodes."""


class UnreachableError(StandfastError):
    """A daemon does not answer; start it."""


class EngineError(StandfastError):
    """The cluster engine failed or refused a message; the node cannot go on with it."""
