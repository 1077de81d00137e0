"""Regenerate gen/ from proto/: Python messages, their stubs, and gRPC stubs with types."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc_tools
from google import api
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
# Ours, and the wires of others that we speak.
PACKAGES = ("solward", "jito", "yellowstone")
# What has a name of its own within its file.
_NAMED = ("message_type", "nested_type", "enum_type", "service", "method", "field", "value", "oneof_decl")
# Where googleapis-common-protos and the protobuf well-known types keep their .proto files.
INCLUDES = [str(Path(next(iter(api.__path__))).parent.parent), str(Path(grpc_tools.__path__[0]) / "_proto")]


def protos(source: Path) -> list[str]:
    """List the .proto files below a folder, as import paths."""
    return sorted(str(path.relative_to(source)) for path in source.rglob("*.proto"))


def run(source: Path, *arguments: str) -> None:
    """Run protoc over every file of a source folder; exit with its code when it fails."""
    paths = [f"-I{path}" for path in (source, *INCLUDES)]
    code = protoc.main(["protoc", *paths, *arguments, *protos(source)])  # type: ignore[no-untyped-call]
    if code:
        sys.exit(code)


def image(source: Path, target: Path) -> None:
    """Write a descriptor image with source comments, which buf lints and compares."""
    target.parent.mkdir(parents=True, exist_ok=True)
    run(source, "--include_imports", "--include_source_info", f"--descriptor_set_out={target}")


def generate(target: Path) -> None:
    """Write the Python packages into a folder that is emptied first."""
    for package in PACKAGES:
        shutil.rmtree(target / package, ignore_errors=True)
    target.mkdir(parents=True, exist_ok=True)
    outputs = ("python_out", "pyi_out", "grpc_python_out", "mypy_grpc_out")
    run(ROOT / "proto", *(f"--{name}={target}" for name in outputs))
    for package in PACKAGES:
        for folder in [target / package, *(p for p in (target / package).rglob("*") if p.is_dir())]:
            (folder / "__init__.py").touch()
        (target / package / "py.typed").touch()
    comments(target)


def comments(target: Path) -> None:
    """Write what the contract says of each of its names, which descriptors at run time have not."""
    with tempfile.TemporaryDirectory() as folder:
        image(ROOT / "proto", Path(folder) / "image.binpb")
        files = descriptor_pb2.FileDescriptorSet.FromString((Path(folder) / "image.binpb").read_bytes())
    found: dict[str, str] = {}
    for file in files.file:
        if file.package.startswith("solward."):
            for place in file.source_code_info.location:
                if name := _named(file, list(place.path)):
                    found[name] = " ".join(place.leading_comments.split())
    lines = [f"    {name!r}: {text!r}," for name, text in sorted(found.items()) if text]
    about = '"""What the contract says of each of its names; made by tools/gen.py."""'
    text = "\n".join([about, "", "COMMENTS: dict[str, str] = {", *lines, "}", ""])
    (target / "solward" / "comments.py").write_text(text)


def _named(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> str:
    """Give the full name of what a path of descriptor.proto leads to; empty for what has none."""
    scope: Any = file
    names = [file.package]
    for number, index in zip(path[::2], path[1::2], strict=False):
        field = scope.DESCRIPTOR.fields_by_number.get(number)
        if field is None or field.name not in _NAMED:
            return ""
        scope = getattr(scope, field.name)[index]
        names.append(scope.name)
    return ".".join(names) if len(path) % 2 == 0 and path else ""


def main() -> None:
    """`gen.py` writes gen/; `gen.py image SOURCE TARGET` writes a descriptor image."""
    if sys.argv[1:2] == ["image"]:
        image(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen")


if __name__ == "__main__":
    main()
