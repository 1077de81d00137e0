"""Notices: alerts about the control plane itself; they fire once, and end when a person acknowledges them."""

import uuid
from typing import NamedTuple

from solward.alerts.v1 import alerts_pb2 as pb
from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from common.names import user_name
from controlplane.alerts.book import Book


class Notice(NamedTuple):
    """What a notice says."""

    summary: str
    advice: str


NOTICES = {
    "break_glass": Notice(
        "somebody did without the approval of others",
        "ask who did it whether it was needed; ctl audit list shows what was done; acknowledge it then",
    ),
    "host_recovery": Notice(
        "a host may join anew, or has joined anew, with a recovery token",
        "make sure that it was meant, and that it is the right machine; ctl audit list shows who did it; "
        "ctl hosts revoke keeps it out; acknowledge it then",
    ),
}


class Notices:
    """Raises notices in the book of alerts."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def give(self, name: str, evidence: str, by: str) -> None:
        """Raise a notice.

        Args:
            name: one of NOTICES.
            evidence: what happened.
            by: the name of who did it, whom it would be in vain to tell.
        """
        notice = NOTICES[name]
        alert = pb.Alert(
            name=f"alerts/{uuid.uuid4().hex}", rule=name, subject=pb.ALERT_SUBJECT_CONTROL_PLANE,
            severity=link_pb2.SEVERITY_CRITICAL, state=pb.ALERT_STATE_FIRING, summary=notice.summary,
            advice=notice.advice, evidence=evidence, times=1, detail=user_name(by),
        )  # fmt: skip
        for time in (alert.start_time, alert.fire_time, alert.last_time):
            time.FromMilliseconds(now_ms())
        await self._book.put([alert])
