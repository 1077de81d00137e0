"""Live topics as a caller may watch them: which there are, and what of them is within reach."""

import hashlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import grpc
from solward.metrics.v1 import topics_pb2 as pb
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from common.names import host_id, user_name
from controlplane.api.reach import Reach
from controlplane.guard.context import Principal, caller
from controlplane.store.hosts import HostRepository
from controlplane.telemetry.topics import Topic, Topics, parse

# What each kind of topic tells of is guarded by a permission of its own, as the calls are that tell the same.
PERMISSIONS = {
    "fleet": "rpc.read",
    "rpc": "rpc.read",
    "score": "rpc.read",
    "alerts": "alerts.read",
    "operations": "operations.read",
    "bundles": "jito.read",
    "pipelines": "geyser.read",
}
# Hosts come, and change their groups: what a caller reaches is found anew after this time, in seconds, or at once
# where its own rules have changed.
ANEW_S = 2.0


class CallerView:
    """What one caller may see, for as long as its rules stay the same.

    Args:
        reaches: how far the caller reaches by each permission.
        who: may hold some of them.
    """

    def __init__(self, reaches: dict[str, Reach], who: Principal) -> None:
        self._reaches = reaches
        self._who = who
        self.key = hashlib.sha256("\n".join(reaches[name].key for name in sorted(reaches)).encode()).hexdigest()[:32]

    @classmethod
    async def of_caller(cls, hosts: HostRepository) -> "CallerView":
        """Find out for the call that is being served."""
        wanted = sorted(set(PERMISSIONS.values()))
        return cls({name: await Reach.of_caller(hosts, name) for name in wanted}, caller())

    def sees(self, kind: str, host: str) -> bool:
        """Whether a topic of a kind may tell of a host; the empty name is what is about no host in particular."""
        return self._reaches[PERMISSIONS[kind]].sees(host)

    def may_watch(self, topic: Topic) -> bool:
        """Whether the caller may watch a topic at all."""
        return self.sees(topic.kind, topic.host) if topic.host else self._who.may(PERMISSIONS[topic.kind])


class LiveTopics:
    """Lets callers watch topics.

    Args:
        hosts: to know which there are, and which ones a caller may see.
        topics: makes the frames.
        clock: monotonic, in seconds.
    """

    def __init__(self, hosts: HostRepository, topics: Topics, clock: Callable[[], float] = time.monotonic) -> None:
        self._hosts = hosts
        self._topics = topics
        self._clock = clock

    async def check(self, names: list[str]) -> pb.CheckTopicsResponse:
        """Say which topics the caller may watch now."""
        view, who = await CallerView.of_caller(self._hosts), caller()
        is_user = who.kind == policy_pb2.PRINCIPAL_KIND_USER
        found = pb.CheckTopicsResponse(caller=user_name(who.name) if is_user else who.name, view=view.key)
        found.live_token = who.live_token
        for name in dict.fromkeys(names):
            try:
                await self._must_watch(name, view)
            except SolwardError as refusal:
                found.refusals.add(topic=name, reason=refusal.reason, message=refusal.message)
        return found

    async def watch(self, names: list[str]) -> AsyncGenerator[pb.WatchTopicsResponse, None]:
        """Give the topics once a second; SolwardError for the first that the caller may not watch, then or later."""
        view = await CallerView.of_caller(self._hosts)
        topics = [await self._must_watch(name, view) for name in dict.fromkeys(names)]
        looked, rules = self._clock(), caller().rules

        async def now() -> CallerView:
            nonlocal view, looked, rules
            # The guard looks the caller up anew every two seconds.
            if self._clock() - looked >= ANEW_S or caller().rules != rules:
                view, looked, rules = await CallerView.of_caller(self._hosts), self._clock(), caller().rules
                for topic in topics:
                    await self._must_watch(topic.name, view)
            return view

        async with aclosing(self._topics.watch(topics, now)) as frames:
            async for frame in frames:
                yield frame

    async def _must_watch(self, name: str, view: CallerView) -> Topic:
        topic = parse(name)
        if topic is None:
            raise SolwardError(
                grpc.StatusCode.INVALID_ARGUMENT,
                "TOPIC_UNKNOWN",
                f"there is no topic {name[:80]!r}; there are: fleet, alerts, operations, bundles, pipelines, "
                "hosts/HOST/rpc, hosts/HOST/score",
                {"topic": name[:80]},
            )
        if not view.may_watch(topic):
            permission, where = PERMISSIONS[topic.kind], topic.host or "any host"
            raise SolwardError(
                grpc.StatusCode.PERMISSION_DENIED,
                "PERMISSION_MISSING",
                f"{caller().name} lacks {permission} on {where}, which {name} tells of",
                {"permission": permission, "at": where, "topic": name},
            )
        if topic.host and await self._hosts.by_name(host_id(topic.host)) is None:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "HOST_NOT_FOUND", f"there is no {topic.host}: see ctl hosts list",
                {"host": topic.host, "topic": name},
            )  # fmt: skip
        return topic
