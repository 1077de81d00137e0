"""The view of one operation: its steps, verdicts, figures and receipt."""

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from ctl.output import cell, safe
from ctl.views.fleet import fleet_view

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
    pb.OPERATION_STATE_ABORTED: "bold yellow",
}
_CHECKS = {"pass": ("✓", "green"), "fail": ("✗", "red")}
_STYLES = {"+": "green", "-": "red"}
_WISHES = {
    pb.WISH_PAUSE: "a person asked for a pause: what has begun comes to its end first",
    pb.WISH_ABORT: "a person asked for its end: nothing else begins, jobs and soaks are cut short",
}
_AT_WORK = (pb.OPERATION_STATE_RUNNING, pb.OPERATION_STATE_AWAITING_APPROVAL)


def operation_view(operation: pb.Operation, *, brief: bool = False) -> RenderableType:
    """Draw an operation as it stands; in brief: of many hosts only those near their turn."""
    steps = Table(box=None, show_header=False, pad_edge=False)
    for step in operation.steps:
        steps.add_row(_mark(step, operation), cell(step.title), Text(safe(step.message), style="dim"), _took(step))
        for line in step.figures.get("diff", "").splitlines():
            steps.add_row("", Text(f"  {safe(line)}", style=_STYLES.get(line[:1], "")), "", "")
        for line in ledger_lines(step.receipt.ledger):
            steps.add_row("", Text(f"  {safe(line)}"), "", "")
        if left_out := step.figures.get("steps_left_out"):
            steps.add_row("", Text(f"  and {safe(left_out)} steps more"), "", "")
        for check in step.receipt.checks:
            mark, style = _CHECKS.get(check.verdict, ("?", "yellow"))
            words = f"  {mark} {check.id}: {check.message}" + (f" ({check.reason})" if check.reason else "")
            steps.add_row("", Text(safe(words), style=style), "", "")
    if operation.targets:
        approve = [steps] if operation.steps else []
        return Group(
            _head(operation),
            *_reason(operation),
            *_wish(operation),
            *approve,
            fleet_view(operation, brief=brief),
            *_error(operation),
        )
    return Group(
        _head(operation), *_reason(operation), *_wish(operation), steps, *_receipts(operation), *_error(operation)
    )


def _reason(operation: pb.Operation) -> list[Text]:
    return [Text(f"reason: {safe(operation.reason)}")] if operation.reason else []


def _wish(operation: pb.Operation) -> list[Text]:
    said = _WISHES.get(operation.wish) if operation.state in _AT_WORK else None
    return [Text(said, style="yellow")] if said else []


def as_planned(operation: pb.Operation) -> pb.Operation:
    """Give an operation as it was before anything was done."""
    plan = pb.Operation()
    plan.CopyFrom(operation)
    plan.state = pb.OPERATION_STATE_PLANNED
    for field in ("error", "end_time"):
        plan.ClearField(field)
    del plan.steps[:], plan.targets[:]
    plan.steps.extend(pb.Step(id=step.id, title=step.title, figures=_diff_of(step)) for step in operation.steps)
    plan.targets.extend(
        pb.Target(
            host=target.host, state=pb.TARGET_STATE_WAITING, canary=target.canary, group=target.group,
            stake_percent=target.stake_percent, diff=target.diff,
        )
        for target in operation.targets
    )  # fmt: skip
    return plan


def difference(operation: pb.Operation) -> list[Text]:
    """List what an operation changes, host by host."""
    changes = {target.host: list(target.diff) for target in operation.targets}
    for step in operation.steps:
        changes.setdefault(operation.host, []).extend(step.figures.get("diff", "").splitlines())
    lines: list[Text] = []
    for host, diff in changes.items():
        if diff:
            lines.append(Text(safe(host.removeprefix("hosts/")), style="bold"))
            lines += [Text(f"  {safe(line)}", style="green" if line.startswith("+") else "red") for line in diff]
    return lines or [Text("it changes no flags", style="dim")]


def _diff_of(step: pb.Step) -> dict[str, str]:
    return {"diff": step.figures["diff"]} if "diff" in step.figures else {}


def ledger_lines(report: link_pb2.LedgerReport) -> list[str]:
    """Say how the slots of a ledger stand, and what was or could be done."""
    said = [f"{_slots(run.first, run.last)} {run.state}{_became(run)}" for run in report.runs]
    if report.runs_left_out:
        said.append(f"and {report.runs_left_out} runs of slots more")
    said += [
        f"{'✓' if each.done else '·'} {each.verb} {_slots(each.first, each.last)}: {each.words or each.why}"
        for each in report.steps
    ]
    said += [f"left: {_slots(each.first, each.last)} {each.state}: {each.why} ({each.verdict})" for each in report.left]
    if report.left_left_out:
        said.append(f"and {report.left_left_out} runs more are left")
    return [*said, f"survey digest {report.digest}"] if report.digest else said


def _became(run: link_pb2.SlotRun) -> str:
    return f", now {run.after}" if run.after not in ("", run.state) else ""


def _slots(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def state_word(operation: pb.Operation) -> str:
    """Name an operation's state."""
    return pb.OperationState.Name(operation.state).removeprefix("OPERATION_STATE_").lower()


def state_style(operation: pb.Operation) -> str:
    """Give the colour of an operation's state."""
    return _STATES.get(operation.state, "bold")


def _head(operation: pb.Operation) -> Text:
    name = f"  {operation.name}" if operation.name else ""
    where = operation.host or f"{len(operation.targets)} hosts"
    head = Text(safe(f"{operation.kind} on {where}{name}  "))
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
            signed = f"signed with certificate {step.signed_receipt.certificate_serial[:12]}…"
            if not before.main_pid and not after.main_pid:
                lines.append(Text(safe(f"receipt: {word}; {signed}"), style="dim"))
                continue
            if not receipt.HasField("after"):
                lines.append(Text(safe(f"receipt: {word}, pid {before.main_pid}; {signed}"), style="dim"))
                continue
            pids = f"pid {before.main_pid} → {after.main_pid}"
            invocations = f"invocation {before.invocation_id[:8]} → {after.invocation_id[:8]}"
            line = f"receipt: {word}, {pids}, {invocations}, systemd took {receipt.job_ms:.1f} ms; {signed}"
            lines.append(Text(safe(line), style="dim"))
    return lines


def _error(operation: pb.Operation) -> list[Text]:
    return [Text(safe(operation.error.message), style="red")] if operation.error.message else []
