"""What the parts that look at plugins tell each other, so that none waits for its next look."""

from dataclasses import dataclass, field

from common.bell import Bell


@dataclass(frozen=True, slots=True)
class PluginBells:
    """Two bells.

    Attributes:
        doubted: something speaks for it that a plugin came or went: the validator's list is looked at.
        loaded: a plugin appeared in the list: streams that wait to be opened again are.
    """

    doubted: Bell = field(default_factory=Bell)
    loaded: Bell = field(default_factory=Bell)
