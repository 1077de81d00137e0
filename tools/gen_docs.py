"""Write what docs/ repeats of the code: docs/settings.md and docs/permissions.md."""

import sys
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from controlplane.guard.matrix import render
from controlplane.settings import Settings

HEAD = """# Settings of the control plane

Made by `make gen`. One YAML file (`/etc/solward/controlplane.yaml`, or the one that `SOLWARD_CONFIG` names) and
environment variables, which win. A setting that is unknown or wrong stops the start, and the message names it.

| YAML | variable | default | what |
|---|---|---|---|
"""


PERMISSIONS = """# Who may call what

Made by `make gen` from the contract; `solward-controlplane policy` prints the same.

"""


def main() -> None:
    """Write the documents into a folder, by default docs/."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    lines = [_line(name, field) for name, field in Settings.model_fields.items()]
    (folder / "settings.md").write_text(HEAD + "\n".join(lines) + "\n")
    (folder / "permissions.md").write_text(PERMISSIONS + render("markdown") + "\n")


def _line(name: str, field: FieldInfo) -> str:
    default = field.default
    if isinstance(default, BaseModel):
        default = default.model_dump()
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    shown = "–" if default in (None, "") else f"`{default}`"
    return f"| `{name}` | `SOLWARD_{name.upper()}` | {shown} | {field.description or ''} |"


if __name__ == "__main__":
    main()
