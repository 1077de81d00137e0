"""Which plugins a validator has loaded, by its admin socket (facts: agave 1.2)."""

from agent.host.admin_rpc import AdminError, AdminRpc

# What a validator says that was started without any plugin, and not told to take one later.
NO_SERVICE = "No geyser plugin service"


async def loaded_plugins(admin: AdminRpc) -> list[str] | None:
    """List the plugins, in the validator's order; None where it takes none.

    Raises: AdminError.
    """
    try:
        listed = await admin.call("listPlugins")
    except AdminError as error:
        if NO_SERVICE in error.message:
            return None
        raise
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise AdminError("ADMIN_GARBLED", "the answer to listPlugins is no list of names")
    return listed
