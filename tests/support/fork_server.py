"""Programs of ours, forked from a process that has imported them: a start then costs a tenth of the time.

What runs is the program's own entry with its own arguments, environment and files, as a process of its own that can
be signalled and killed; the imports alone are shared. Benchmarks, the demo and packages start the real thing.
"""

import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

ENTRIES = {
    "ctl": "ctl.__main__",
    "solward-agent": "agent.__main__",
    "solward-controlplane": "controlplane.__main__",
}
# What the entries import only when a command needs it.
LATER = ("controlplane.app", "controlplane.setup", "controlplane.servers", "agent.app", "ctl.commands")
MAX_REQUEST = 1 << 16
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE)


def serve(door: socket.socket) -> None:
    """Fork a program for each connection, until standard input ends.

    A connection sends the program's arguments, environment and folder as JSON with three descriptors, and is told
    the process's number at once and how it ended at its end.
    """
    entries = {name: importlib.import_module(module).main for name, module in ENTRIES.items()}
    for name in LATER:
        module = importlib.import_module(name)
        for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
            importlib.import_module(f"{name}.{found.name}")
    gc.freeze()
    print("ready", flush=True)
    children: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(door, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == 0:
                    return
                if key.fileobj is door:
                    _begin(door, entries, children, selector)
                    continue
                pid, asked = children.pop(key.fd)
                selector.unregister(key.fd)
                os.close(key.fd)
                asked.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                asked.close()


def _begin(
    door: socket.socket,
    entries: dict[str, Callable[[], None]],
    children: dict[int, tuple[int, socket.socket]],
    selector: selectors.BaseSelector,
) -> None:
    asked, _ = door.accept()
    data, files, _, _ = socket.recv_fds(asked, MAX_REQUEST, 3)
    request = json.loads(data)
    pid = os.fork()
    if pid == 0:
        for number, file in enumerate(files):
            os.dup2(file, number)
        # Whatever else this process had open is none of the program's business.
        os.closerange(3, 1024)
        _become(entries[os.path.basename(request["argv"][0])], **request)
    for file in files:
        os.close(file)
    ended = os.pidfd_open(pid)
    children[ended] = (pid, asked)
    selector.register(ended, selectors.EVENT_READ)
    asked.sendall(b"%d\n" % pid)


def _become(entry: Callable[[], None], argv: list[str], environment: dict[str, str], folder: str) -> NoReturn:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[:] = argv
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    code = 0
    try:
        entry()
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        serve(listening)
