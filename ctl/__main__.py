"""The command tree; a command's module is imported only when it is run, so that help is instant."""

import importlib

import click

from ctl import VERSION

# name: (module, summary). Summaries stand here so that `ctl --help` imports nothing.
COMMANDS = {
    "login": ("session", "Sign in to a control plane."),
    "logout": ("session", "End the session."),
    "status": ("session", "Who am I, on which control plane, and is all well?"),
    "account": ("account", "Your own sessions, authenticator and recovery codes."),
    "context": ("context", "Choose between control planes."),
    "hosts": ("hosts", "List, enroll and revoke hosts."),
    "rpc": ("rpc", "Latency and errors of Solana RPC methods."),
    "metrics": ("metrics", "Ask for stored telemetry over a range of time."),
    "validator": ("validator", "Start, stop and restart validators."),
    "controls": ("controls", "Restart or change many hosts, one after the other."),
    "geyser": ("geyser", "Geyser pipelines: which hop is slow, and how they mend themselves."),
    "jito": ("jito", "Bundles, tips, and what they are worth."),
    "alerts": ("alerts", "What is wrong, and what the logs said."),
    "logs": ("logs", "What hosts logged, over a range of time or as it comes."),
    "operations": ("operations", "What was asked, how far it has come; pause, abort, retry."),
    "access": ("access", "Who may do what: users, roles, grants, calls to approve."),
    "certs": ("certs", "Client certificates of people and services, and the authorities."),
    "audit": ("audit", "Read, follow, export, verify and prune the audit log."),
    "completion": ("completion", "Print a completion script for your shell."),
}


HELP = """Operate Solana validators and RPC hosts through a Solward control plane.

\b
Exit codes:
    0  done
    1  failed, or declined
    2  usage
    3  not signed in
    4  not allowed, or a wrong code
    5  not found
    6  not possible now
    7  unreachable
    8  audit log not intact
    9  too many calls
  130  interrupted
"""


class Tree(click.Group):
    """A group whose commands live in modules of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"ctl.commands.{COMMANDS[cmd_name][0]}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their summaries, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(cls=Tree, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="ctl")
@click.option("--context", "context_name", metavar="NAME", help="Use this context instead of the current one.")
@click.option(
    "--break-glass", metavar="REASON", default="",
    help="In an emergency, do without others' approval; it is audited, and everybody is alerted.",
)  # fmt: skip
@click.option("--verbose", is_flag=True, help="Show the id of the trace that this command begins.")
@click.pass_context
def cli(ctx: click.Context, context_name: str | None, break_glass: str, verbose: bool) -> None:
    """Keep the name of the context for the command, and why it does without approval."""
    ctx.obj = context_name
    ctx.meta["verbose"] = verbose
    ctx.meta["break_glass"] = break_glass


def main() -> None:
    """Run the command line."""
    cli(prog_name="ctl")


if __name__ == "__main__":
    main()
