"""`solward-agent check`: everything that a start needs, looked at one by one, with what to do about it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from agent import allowlist
from agent.host.systemd import Systemd, SystemdError
from agent.identity import IdentityError, IdentityStore
from agent.secret_file import SettingsFileError, read_line, readable
from agent.settings import Settings

CONNECT_SECONDS = 5.0


class Failed(Exception):
    """Why a check did not pass."""


Check = Callable[[Settings], Awaitable[str]]


async def run(settings: Settings) -> bool:
    """Print one line for each check; give whether all passed."""
    passed = True
    for name, check in _CHECKS:
        try:
            print(f"ok    {name}: {await check(settings)}")
        except Failed as failure:
            passed = False
            print(f"FAIL  {name}: {failure}")
    return passed


async def _identity(settings: Settings) -> str:
    try:
        identity = IdentityStore(settings.state_dir).load()
    except IdentityError as error:
        raise Failed(str(error)) from None
    trouble = identity.trouble()
    if trouble:
        raise Failed(trouble)
    return f"{identity.host}, certificate until {identity.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"


async def _allowlist(settings: Settings) -> str:
    try:
        allowed = allowlist.load(settings.allowlist, settings.allowlist_owner)
    except allowlist.AllowlistError as error:
        raise Failed(str(error)) from None
    return ", ".join(f"{unit} ({', '.join(sorted(actions))})" for unit, actions in allowed.units.items()) or "nothing"


async def _units(settings: Settings) -> str:
    systemd = Systemd(settings.bus_address or None)
    try:
        allowed = allowlist.load(settings.allowlist, settings.allowlist_owner)
        states = [await systemd.state(unit) for unit in allowed.units]
    except allowlist.AllowlistError as error:
        raise Failed(f"needs the allowlist ({error})") from None
    except SystemdError as error:
        raise Failed(f"{error.message} [{error.reason}]") from None
    finally:
        await systemd.close()
    return ", ".join(f"{state.unit} is {state.active_state}/{state.sub_state}" for state in states) or "none to look at"


async def _server(settings: Settings) -> str:
    try:
        identity = IdentityStore(settings.state_dir).load()
    except IdentityError:
        raise Failed("needs the identity") from None
    context = ssl.create_default_context(cadata=identity.roots_pem.decode())
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(settings.server, settings.tls_port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        raise Failed(
            f"{settings.server}:{settings.tls_port} is not our control plane: {error.verify_message}"
        ) from None
    except (OSError, TimeoutError) as error:
        raise Failed(f"{settings.server}:{settings.tls_port} cannot be reached ({error or 'no answer'})") from None
    writer.close()
    return f"{settings.server}:{settings.tls_port} answers with a certificate of our authority"


async def _engine(settings: Settings) -> str:
    from agent.jito.auth import load_key, load_roots, load_uuid
    from agent.jito.engine import known_places

    if settings.jito is None:
        return "none to look at"
    try:
        load_roots(settings.jito.tls_roots)
        if settings.jito.auth_key:
            load_key(settings.jito.auth_key)
        if settings.jito.uuid_file:
            load_uuid(settings.jito.uuid_file)
        if settings.jito.canary:
            load_key(settings.jito.canary.key, "jito.canary.key")
    except SettingsFileError as error:
        raise Failed(str(error)) from None
    urls = {name: one.url for name, one in settings.jito.regions.items()}
    urls = urls or {name: place.url for name, place in known_places(settings.jito.cluster).items()}
    found = await asyncio.gather(*map(_reach, urls.values()))
    lost = [name for name, reached in zip(urls, found, strict=True) if not reached]
    if lost:
        raise Failed(f"cannot be reached in {', '.join(lost)}: bundles would go elsewhere")
    return f"{', '.join(urls)} can be reached"


async def _geyser(settings: Settings) -> str:
    """Look once at every cluster and database, as the probes do."""
    if settings.geyser is None:
        return "none to look at"
    from agent.geyser.once import troubles

    try:
        found = await troubles(settings.geyser)
    except SettingsFileError as error:
        raise Failed(str(error)) from None
    if found:
        raise Failed("; ".join(f"{name} cannot be asked: {why}" for name, why in found.items()))
    asked = (*settings.geyser.kafka, *settings.geyser.sinks)
    return f"{', '.join(asked)} can be asked" if asked else "none to look at"


async def _plugins(settings: Settings) -> str:
    from agent.geyser.plugin_config import PluginConfigError, check_config

    if settings.geyser is None:
        return "none to look at"
    try:
        for name, plugin in settings.geyser.plugins.items():
            if plugin.config:
                check_config(plugin.config, plugin.name or name)
        for name, stream in settings.geyser.streams.items():
            readable(stream.ca_file, f"geyser.streams.{name}.ca_file")
            if stream.token_file:
                read_line(stream.token_file, f"geyser.streams.{name}.token_file")
    except (PluginConfigError, SettingsFileError) as error:
        raise Failed(str(error)) from None
    urls = {name: stream.url for name, stream in settings.geyser.streams.items()}
    found = await asyncio.gather(*map(_reach, urls.values()))
    if lost := [name for name, reached in zip(urls, found, strict=True) if not reached]:
        raise Failed(f"streams cannot be reached: {', '.join(lost)}")
    return ", ".join([*settings.geyser.plugins, *urls]) or "none to look at"


async def _reach(url: str) -> bool:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
            )
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("identity", _identity),
    ("allowlist", _allowlist),
    ("units", _units),
    ("control plane", _server),
    ("block engine", _engine),
    ("geyser", _geyser),
    ("plugins and streams", _plugins),
)
