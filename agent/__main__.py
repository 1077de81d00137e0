"""`solward-agent`: enroll, run and check."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import NoReturn

from agent import VERSION
from agent.settings import Settings, SettingsError, load
from common import logs

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

# Exit codes, stable for scripts.
OK, FAILED, USAGE = 0, 1, 2
VERSIONS = Path("/var/lib/solward-config")


def main() -> None:
    """Run the command line."""
    # Whatever is written is for its owner alone.
    os.umask(0o077)
    arguments = _parser().parse_args()
    try:
        settings = load(arguments.config)
    except SettingsError as error:
        _fail(str(error), USAGE)
    logs.configure(settings.log_level, json=settings.log_format == "json")
    sys.exit(arguments.run(settings, arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="solward-agent", description="The Solward agent of one host.")
    parser.add_argument("--version", action="version", version=f"solward-agent {VERSION}")
    parser.add_argument("--config", type=Path, help="settings file (default: /etc/solward/agent.yaml)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    enroll = commands.add_parser("enroll", help="join the fleet with a single-use token")
    enroll.add_argument("--host", required=True, help="the host's name, as the token was made for")
    enroll.add_argument("--ca-file", type=Path, required=True, help="the control plane's certificate authority")
    enroll.add_argument(
        "--token-file", default="-", help="file with the join token; '-' (default) reads standard input"
    )
    enroll.add_argument(
        "--recover", action="store_true", help="come back as the host that this was, with a recovery token"
    )
    enroll.set_defaults(run=_enroll)
    commands.add_parser("run", help="run until SIGTERM").set_defaults(run=_run)
    config = commands.add_parser("metrics-config", help="print the SOLANA_METRICS_CONFIG that sends to this agent")
    config.set_defaults(run=_metrics_config)
    commands.add_parser("check", help="look at everything that a start needs").set_defaults(run=_check)
    helper = commands.add_parser("admin-helper", help="pass listed methods to a validator's admin socket")
    helper.add_argument("--ledger", type=Path, required=True, help="the validator's ledger folder")
    helper.add_argument("--socket", type=Path, help="where to listen, unless systemd hands a socket over")
    helper.set_defaults(run=_admin_helper)
    config_helper = commands.add_parser("config-helper", help="read and write the validator's flags, as root lets it")
    config_helper.add_argument("--versions", type=Path, default=VERSIONS, help=f"where they are kept ({VERSIONS})")
    config_helper.add_argument("--socket", type=Path, help="where to listen, unless systemd hands a socket over")
    config_helper.set_defaults(run=_config_helper)
    job = commands.add_parser("job", help="become the job that root listed under a name")
    job.add_argument("name", help="as in /etc/solward/allowlist.yaml, under jobs")
    job.set_defaults(run=_job)
    return parser


def _enroll(settings: Settings, arguments: argparse.Namespace) -> int:
    from agent.journal import Journal
    from agent.link.enroll import EnrollError, enroll

    try:
        source = sys.stdin.read() if arguments.token_file == "-" else Path(arguments.token_file).read_text()
        ca_pem = arguments.ca_file.read_bytes()
        identity = asyncio.run(enroll(settings, arguments.host, ca_pem, source.strip(), recover=arguments.recover))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}", USAGE)
    except EnrollError as error:
        _fail(str(error), FAILED)
    if not arguments.recover:
        # Another control plane may count its terms from the beginning; the one before still counts on.
        journal = Journal(settings.state_dir)
        journal.forget_terms()
        journal.close()
    print(f"joined as {identity.host}; certificate until {identity.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    return OK


def _run(settings: Settings, _arguments: argparse.Namespace) -> int:
    import uvloop

    from agent.allowlist import AllowlistError
    from agent.app import Agent
    from agent.identity import IdentityError
    from agent.secret_file import SettingsFileError

    async def run() -> None:
        await Agent(settings).run()

    try:
        uvloop.run(run())
    except (AllowlistError, IdentityError, SettingsFileError) as error:
        _fail(str(error), FAILED)
    return OK


def _metrics_config(settings: Settings, _arguments: argparse.Namespace) -> int:
    from agent.identity import IdentityStore
    from agent.logs import metrics_config

    endpoint = settings.validator.metrics_endpoint if settings.validator else None
    if endpoint is None:
        _fail("the settings have no validator.metrics_endpoint", USAGE)
    try:
        print(metrics_config.ours(endpoint.port, IdentityStore(settings.state_dir).metrics_password()))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}", FAILED)
    return OK


def _admin_helper(settings: Settings, arguments: argparse.Namespace) -> int:
    from agent import allowlist
    from agent.admin_helper import AdminHelper
    from agent.line_rpc import listening_socket

    try:
        allowed = allowlist.load(settings.allowlist, settings.allowlist_owner)
        with listening_socket(arguments.socket) as listener:
            asyncio.run(AdminHelper(arguments.ledger, allowed).rpc.serve(listener))
    except (allowlist.AllowlistError, ValueError) as error:
        _fail(str(error), FAILED)
    except OSError as error:
        _fail(f"{arguments.socket or 'the socket'}: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        return OK
    return OK


def _config_helper(settings: Settings, arguments: argparse.Namespace) -> int:
    from agent import allowlist
    from agent.config.helper import ConfigHelper
    from agent.host.systemd import Systemd
    from agent.line_rpc import listening_socket

    try:
        allowed = allowlist.load(settings.allowlist, settings.allowlist_owner)
        with listening_socket(arguments.socket) as listener:
            systemd = Systemd(settings.bus_address or None)
            asyncio.run(ConfigHelper(allowed, systemd, arguments.versions).rpc.serve(listener))
    except (allowlist.AllowlistError, ValueError) as error:
        _fail(str(error), FAILED)
    except OSError as error:
        _fail(f"{arguments.socket or 'the socket'}: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        return OK
    return OK


def _job(settings: Settings, arguments: argparse.Namespace) -> int:
    from agent import allowlist
    from agent.jobs.folder import IDENT
    from agent.jobs.listed import JobRefused, become
    from agent.jobs.run import run

    try:
        allowed = allowlist.load(settings.allowlist, settings.allowlist_owner)
        if IDENT.fullmatch(arguments.name):
            return OK if run(arguments.name, settings, allowed) else FAILED
        become(arguments.name, allowed)
    except (allowlist.AllowlistError, JobRefused) as error:
        _fail(str(error), FAILED)


def _check(settings: Settings, _arguments: argparse.Namespace) -> int:
    from agent import check

    return OK if asyncio.run(check.run(settings)) else FAILED


def _fail(message: str, code: int) -> NoReturn:
    print(f"solward-agent: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
