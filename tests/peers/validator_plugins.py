"""The plugin manager of the validator peer, as agave's geyser-plugin-manager answers on the admin socket."""

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.peers.validator_faults import Faults
from tests.peers.validator_jsonrpc import RpcError, expect

INVALID_REQUEST = -32600


class Plugins:
    """Keeps the plugins that are loaded, in order.

    Args:
        configs: files that the validator was started with.
        always: whether plugins may be loaded though it was started with none.
    """

    def __init__(self, faults: Faults, configs: Sequence[str], *, always: bool) -> None:
        self._faults = faults
        self._serves = always or bool(configs)
        self.loaded: dict[str, str] = {}
        for path in configs:
            self.loaded[self._name(path)] = path
        self.methods: dict[str, Callable[[Any], Any]] = {
            "listPlugins": self._list,
            "loadPlugin": self._load,
            "unloadPlugin": self._unload,
            "reloadPlugin": self._reload,
        }

    def _served(self) -> None:
        if not self._serves:
            raise RpcError(INVALID_REQUEST, "No geyser plugin service")

    def _list(self, params: Any) -> list[str]:
        expect(params)
        self._served()
        return list(self.loaded)

    def _load(self, params: Any) -> str:
        path = expect(params, str)[0]
        self._served()
        self._die("loadPlugin")
        name = self._name(path)
        if name in self.loaded:
            raise RpcError(
                INVALID_REQUEST,
                f"There already exists a plugin named {name} loaded, while reading file {path}. Did not load requested"
                " plugin",
            )
        self._on_load(name)
        self.loaded[name] = path
        return name

    def _unload(self, params: Any) -> None:
        name = expect(params, str)[0]
        self._served()
        self._die("unloadPlugin")
        if name not in self.loaded:
            raise RpcError(INVALID_REQUEST, "The plugin you requested to unload is not loaded")
        del self.loaded[name]

    def _reload(self, params: Any) -> None:
        name, path = expect(params, str, str)
        self._served()
        self._die("reloadPlugin")
        if name not in self.loaded:
            raise RpcError(INVALID_REQUEST, "The plugin you requested to reload is not loaded")
        # The old one is dropped first: what goes wrong from here on leaves none.
        del self.loaded[name]
        try:
            self.loaded[self._name(path)] = path
            self._on_load(name)
        except RpcError as error:
            self.loaded.pop(name, None)
            if "on_load" in error.message:
                words = f"Failed to start new plugin (previous plugin was dropped!): {error.message}"
                raise RpcError(INVALID_REQUEST, words) from error
            raise

    def _name(self, path: str) -> str:
        """Read a configuration, comments included, and give the name that the plugin is listed by."""
        try:
            text = re.sub(r"^\s*//.*$", "", Path(path).read_text(), flags=re.MULTILINE)
            config = json.loads(re.sub(r",(\s*[}\]])", r"\1", text))
            library = Path(path).parent / config["libpath"]
            library.read_bytes()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RpcError(INVALID_REQUEST, f"Failed to load plugin: {error}") from error
        return str(config.get("name", Path(path).stem))

    def _on_load(self, name: str) -> None:
        if self._faults.plugin_fails:
            raise RpcError(INVALID_REQUEST, f"on_load method of plugin {name} failed: {self._faults.plugin_fails}")

    def _die(self, method: str) -> None:
        if self._faults.plugin_dies == method:
            # As a plugin of another version does: a segmentation fault, and not a word.
            os._exit(139)
