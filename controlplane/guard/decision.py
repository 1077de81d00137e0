"""The decision whether a caller may do something somewhere: pure, so that the guard and an explanation never differ."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

EVERYWHERE = "*"


class Held(NamedTuple):
    """One rule by which a caller may do something: a role, and where it holds.

    Attributes:
        role: the role's name.
        permissions: what it permits.
        scope: "*", groups/{group} or hosts/{host}.
        host_uid: of the host that the scope names.
        grant: the grant's resource name; empty for the user's own role.
    """

    role: str
    permissions: frozenset[str]
    scope: str = EVERYWHERE
    host_uid: str = ""
    grant: str = ""

    @property
    def everywhere(self) -> bool:
        """Whether it holds on every host, those to come included."""
        return self.scope == EVERYWHERE

    def covers(self, place: "Place") -> bool:
        """Whether it holds at a host."""
        if self.everywhere:
            return True
        kind, _, name = self.scope.partition("/")
        # By uid: another host of the same name inherits nothing.
        return bool(place.host_uid) and (
            self.host_uid == place.host_uid if kind == "hosts" else bool(name) and name == place.group
        )

    def words(self) -> str:
        """Say it for people: "role admin on every host"."""
        where = "every host" if self.everywhere else self.scope
        return f"{self.grant + ': ' if self.grant else ''}role {self.role} on {where}"


class Place(NamedTuple):
    """A host that a call is about."""

    host: str
    host_uid: str
    group: str = ""


class Asked(NamedTuple):
    """What a call needs.

    Attributes:
        permission: as noun.verb.
        places: the hosts that it is about; all of them must be reached.
        narrowed: it names no host, and the handler takes or shows what the caller reaches alone.
    """

    permission: str
    places: Sequence[Place] = ()
    narrowed: bool = False


class Decision(NamedTuple):
    """Whether a call is let in, by which rules, and else where the permission is missing."""

    allowed: bool
    rules: tuple[Held, ...] = ()
    missing_at: str = ""


def decide(rules: Iterable[Held], asked: Asked) -> Decision:
    """Decide by a caller's rules whether policy lets a call in."""
    helpful = [rule for rule in rules if asked.permission in rule.permissions]
    if asked.places:
        found = []
        for place in asked.places:
            rule = next((rule for rule in helpful if rule.covers(place)), None)
            if rule is None:
                return Decision(False, (), place.host)
            found.append(rule)
        return Decision(True, tuple(dict.fromkeys(found)))
    whole = [rule for rule in helpful if rule.everywhere or asked.narrowed]
    return Decision(bool(whole), tuple(whole[:1]), "" if whole else "every host")


def reaches(rules: Iterable[Held], permission: str, place: Place) -> bool:
    """Whether some rule gives a permission at a host."""
    return any(permission in rule.permissions and rule.covers(place) for rule in rules)


def held_anywhere(rules: Iterable[Held], permission: str) -> bool:
    """Whether some rule gives a permission anywhere."""
    return any(permission in rule.permissions for rule in rules)
