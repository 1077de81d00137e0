"""The view of one operation: its steps, verdicts, figures and receipt."""

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from ctl.output import cell, safe

_VERDICTS = {
    pb.VERDICT_PASS: ("✓", "green"),
    pb.VERDICT_FAIL: ("✗", "red"),
    pb.VERDICT_INCONCLUSIVE: ("?", "yellow"),
    pb.VERDICT_ERROR: ("!", "yellow"),
}
_STATES = {
    pb.OPERATION_STATE_SUCCEEDED: "bold green",
    pb.OPERATION_STATE_FAILED: "bold red",
    pb.OPERATION_STATE_PAUSED: "bold yellow",
    pb.OPERATION_STATE_AWAITING_APPROVAL: "bold yellow",
}
_AT_WORK = (pb.OPERATION_STATE_RUNNING, pb.OPERATION_STATE_AWAITING_APPROVAL)


def operation_view(operation: pb.Operation) -> RenderableType:
    """Draw an operation as it stands."""
    steps = Table(box=None, show_header=False, pad_edge=False)
    for step in operation.steps:
        steps.add_row(_mark(step, operation), cell(step.title), Text(safe(step.message), style="dim"), _took(step))
        for line in step.figures.get("diff", "").splitlines():
            steps.add_row("", Text(f"  {safe(line)}", style="green" if line.startswith("+") else "red"), "", "")
    reason = [Text(f"reason: {safe(operation.reason)}")] if operation.reason else []
    return Group(_head(operation), *reason, steps, *_receipts(operation), *_error(operation))


def state_word(operation: pb.Operation) -> str:
    """Name an operation's state."""
    return pb.OperationState.Name(operation.state).removeprefix("OPERATION_STATE_").lower()


def state_style(operation: pb.Operation) -> str:
    """Give the colour of an operation's state."""
    return _STATES.get(operation.state, "bold")


def _head(operation: pb.Operation) -> Text:
    name = f"  {operation.name}" if operation.name else ""
    head = Text(safe(f"{operation.kind} on {operation.host}{name}  "))
    head.append(state_word(operation), style=state_style(operation))
    head.append(f"  plan {safe(operation.plan_hash[:12])}", style="dim")
    return head


def _mark(step: pb.Step, operation: pb.Operation) -> RenderableType:
    if step.verdict in _VERDICTS:
        mark, style = _VERDICTS[step.verdict]
        return Text(mark, style=style)
    running = operation.state in _AT_WORK and step.HasField("start_time")
    return Spinner("dots") if running else Text("·", style="dim")


def _took(step: pb.Step) -> Text:
    if not step.HasField("end_time"):
        return Text("")
    seconds = (step.end_time.ToMilliseconds() - step.start_time.ToMilliseconds()) / 1000
    return Text(f"{seconds:.2f} s", style="dim")


def _receipts(operation: pb.Operation) -> list[Text]:
    lines = []
    for step in operation.steps:
        if step.HasField("receipt"):
            receipt = step.receipt
            word = link_pb2.ReceiptResult.Name(receipt.result).removeprefix("RECEIPT_RESULT_").lower()
            before, after = receipt.before, receipt.after
            pids = f"pid {before.main_pid} → {after.main_pid}"
            invocations = f"invocation {before.invocation_id[:8]} → {after.invocation_id[:8]}"
            signed = f"signed with certificate {step.signed_receipt.certificate_serial[:12]}…"
            line = f"receipt: {word}, {pids}, {invocations}, systemd took {receipt.job_ms:.1f} ms; {signed}"
            lines.append(Text(safe(line), style="dim"))
    return lines


def _error(operation: pb.Operation) -> list[Text]:
    return [Text(safe(operation.error.message), style="red")] if operation.error.message else []
