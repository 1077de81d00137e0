"""Build the Debian packages: folder builds by PyInstaller with Debian's own Python, packed by nfpm."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "deb"
VENV = ROOT / "build" / "deb-venv"
# Debian 12's own: what it builds starts wherever glibc is at least 2.35.
PYTHON = "/usr/bin/python3"
PROGRAMS = ("agent", "controlplane", "ctl")
SOURCES = ("agent", "common", "controlplane", "ctl", "gen", "packaging", "systemd", "requirements", "pyproject.toml",
           "tools/make_deb.py", "LICENSE")  # fmt: skip
REQUIREMENTS = ("package", "agent", "controlplane", "ctl")

# What PyInstaller cannot see: modules named in strings, files that are read, and metadata of entry points.
EXTRAS: dict[str, tuple[str, ...]] = {
    "agent": (),
    "ctl": ("--collect-submodules=ctl.commands",),
    "controlplane": (
        f"--add-data={ROOT}/controlplane/store/migrations:controlplane/store/migrations",
        f"--add-data={ROOT}/controlplane/gateway/page:controlplane/gateway/page",
        "--collect-all=alembic",
        "--collect-all=dbos",
        "--collect-data=limits",
        "--hidden-import=aiosqlite",
        "--hidden-import=sqlalchemy.dialects.sqlite.aiosqlite",
        "--hidden-import=opentelemetry.context.contextvars_context",
        "--copy-metadata=opentelemetry-api",
        "--copy-metadata=opentelemetry-sdk",
        "--copy-metadata=limits",
    ),
}
# Debian 12's own need glibc 2.36; every release has these, and the packages depend on them.
LEFT_OUT = ("libexpat.so.1", "libstdc++.so.6")
NAMES = {"agent": "solward-agent", "controlplane": "solward-controlplane", "ctl": "ctl"}
PACKAGES = NAMES | {"ctl": "solward-ctl"}
# In the build's environment for the other programs, and no business of this one.
EXCLUDED = {
    "agent": (
        "numpy",
        "sqlalchemy",
        "aiohttp",
        "pydantic",
        "dbos",
        "alembic",
        "rich",
        "click",
        "tkinter",
        "setuptools",
    ),
    "ctl": ("numpy", "sqlalchemy", "aiohttp", "pydantic", "dbos", "alembic", "uvloop", "tkinter", "setuptools"),
    "controlplane": ("tkinter",),
}


def main() -> None:
    """Build what has changed since the last time; `make_deb.py VERSION FOLDER` packs the last build again."""
    if len(sys.argv) == 3:
        Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
        _pack("agent", sys.argv[1], Path(sys.argv[2]))
        return
    digest = _digest()
    stamp = OUT / "stamp"
    if stamp.is_file() and stamp.read_text() == digest and len(list(OUT.glob("*.deb"))) == len(PROGRAMS):
        print(f"the packages in {OUT.relative_to(ROOT)} are up to date")
        return
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    _environment()
    with ThreadPoolExecutor(2) as workers:
        list(workers.map(_freeze, PROGRAMS))
        _papers()
        list(workers.map(lambda program: _pack(program, version(), OUT), PROGRAMS))
    stamp.write_text(digest)
    for path in sorted(OUT.glob("*.deb")):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")


def version() -> str:
    """Give the version that the packages bear: the distribution's own."""
    line = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version = "))
    return line.split('"')[1]


def _digest() -> str:
    total = hashlib.sha256(version().encode())
    for source in SOURCES:
        path = ROOT / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(str(file.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _environment() -> None:
    wanted = hashlib.sha256(b"".join((ROOT / f"requirements/{name}.txt").read_bytes() for name in REQUIREMENTS))
    stamp = VENV / "stamp"
    if stamp.is_file() and stamp.read_text() == wanted.hexdigest():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    _run(PYTHON, "-m", "venv", str(VENV))
    for name in REQUIREMENTS:
        _run(str(VENV / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
             "-r", f"requirements/{name}.txt")  # fmt: skip
    stamp.write_text(wanted.hexdigest())


def _freeze(program: str) -> None:
    entry = OUT / f"start_{program}.py"
    entry.write_text(f"from {program}.__main__ import main\n\nmain()\n")
    work = OUT / "work" / program
    _run(
        str(VENV / "bin/pyinstaller"), "--noconfirm", "--clean", "--log-level=ERROR", "--onedir",
        f"--name={NAMES[program]}", f"--paths={ROOT}", f"--paths={ROOT}/gen",
        f"--distpath={OUT}/dist", f"--workpath={work}", f"--specpath={work}",
        *(f"--exclude-module={name}" for name in EXCLUDED[program]), *EXTRAS[program], str(entry),
        environment=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/gen"},
    )  # fmt: skip
    for name in LEFT_OUT:
        (OUT / "dist" / NAMES[program] / "_internal" / name).unlink(missing_ok=True)
    # Wheels ship libraries as executable as programs.
    for library in (OUT / "dist" / NAMES[program]).rglob("*.so*"):
        library.chmod(0o644)


def _papers() -> None:
    """Write what stands beside the programs: manuals, changelog, overrides, completion."""
    for folder in ("man", "lintian", "completion"):
        (OUT / folder).mkdir()
    for page in (ROOT / "packaging" / "man").iterdir():
        (OUT / "man" / f"{page.name}.gz").write_bytes(gzip.compress(page.read_bytes(), mtime=0))
    changelog = (ROOT / "packaging" / "changelog").read_bytes()
    (OUT / "changelog.gz").write_bytes(gzip.compress(changelog, mtime=0))
    overrides = (ROOT / "packaging" / "lintian-overrides").read_text()
    for package in PACKAGES.values():
        (OUT / "lintian" / package).write_text(overrides.replace("PACKAGE", package))
    for shell in ("bash", "zsh", "fish"):
        made = subprocess.run([OUT / "dist/ctl/ctl", "completion", shell], check=True, capture_output=True)
        (OUT / "completion" / shell).write_bytes(made.stdout)


def _pack(program: str, number: str, target: Path) -> None:
    package = PACKAGES[program]
    places = {"VERSION": number, "DIST": str(OUT / "dist" / NAMES[program]), "OUT": str(OUT)}
    config = target / f"{package}.yaml"
    config.write_text(Template((ROOT / "packaging" / program / "nfpm.yaml").read_text()).substitute(places))
    _run(str(VENV / "bin/nfpm"), "package", "--config", str(config), "--packager", "deb", "--target", str(target))
    if not list(target.glob(f"{package}_{number}_*.deb")):
        sys.exit(f"{package} was not made")


def _run(*argv: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(argv, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{Path(argv[0]).name} ended with {done.returncode}")


if __name__ == "__main__":
    main()
