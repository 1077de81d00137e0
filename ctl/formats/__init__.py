"""The audit log as other systems read it."""

from collections.abc import Callable
from typing import Literal

from common.auditlines import encode
from common.auditlog import Entry
from ctl.formats import cef, ocsf

Format = Literal["jsonl", "cef", "ocsf"]
# One entry as one line, without its end.
LINES: dict[str, Callable[[Entry], str]] = {"jsonl": encode, "cef": cef.line, "ocsf": ocsf.line}
