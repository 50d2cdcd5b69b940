"""Fetches the other tools with their usual package managers, into a folder outside the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CACHE = Path(os.environ.get("TIDELOCK_BENCH_CACHE", Path.home() / ".cache" / "tidelock-bench"))
INSTALL_S = 600
BUILD_S = 1800


class PeerMissing(Exception):
    """The tool cannot be had here. The message says why; the results name it."""


def python_tool(name: str, packages: Sequence[str], *, anew: bool = False) -> Path:
    """The program `name` in a virtual environment of its own; `anew` replaces one that is there."""
    folder = CACHE / name
    program = folder / "bin" / name
    if anew or not program.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(folder / "bin" / "pip"), "install", "--quiet", *packages])
    return program


def node_binary(package: str) -> Path:
    """The native binary that a package of npm brings along."""
    folder = CACHE / package
    found = _native(folder, package)
    if found is None:
        _need("npm")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        _run(["npm", "install", "--silent", "--no-fund", "--no-audit", package], cwd=folder)
        found = _native(folder, package)
    if found is None:
        raise PeerMissing(f"the npm package {package} holds no binary for this machine")
    return found


def _native(folder: Path, name: str) -> Path | None:
    return next((path for path in folder.glob(f"node_modules/@*/*/bin/{name}") if path.is_file()), None)


def debian_program(name: str, packages: Sequence[str]) -> Path:
    """A program from Debian packages, installed if this is root with apt."""
    if shutil.which(name) is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise PeerMissing(f"needs root: apt-get install {' '.join(packages)}")
        _run(["apt-get", "update", "-q"])
        _run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages])
    found = shutil.which(name)
    if found is None:
        raise PeerMissing(f"apt-get install {' '.join(packages)} brought no {name}")
    return Path(found)


def go_program(name: str, module: str, below: str = "", *, tags: str = "", newer: Sequence[str] = ()) -> Path:
    """A program built from `module@version`, from the package `below` it.

    `newer` are modules that it needs in another version than it asks for, where Go is newer than itself.
    """
    program = CACHE / "go" / name
    if not program.exists():
        _need("go")
        # `go install` takes no version of a dependency; a module of our own does.
        folder = CACHE / "go" / "modules" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "go.mod").unlink(missing_ok=True)
        _run(["go", "mod", "init", "peer"], cwd=folder)
        _run(["go", "mod", "edit", *(f"-require={each}" for each in (module, *newer))], cwd=folder)
        package = module.partition("@")[0] + below
        _run(["go", "build", "-mod=mod", f"-tags={tags}", "-o", str(program), package], cwd=folder, limit_s=BUILD_S)
    return program


def cargo_program(crate: str, name: str, features: str) -> Path:
    """A program of a Rust crate, built with these features alone."""
    path = CACHE / "cargo" / "bin" / name
    if not path.exists():
        _need("cargo")
        options = ["--root", str(CACHE / "cargo"), "--no-default-features", "--features", features]
        _run(["cargo", "install", "--quiet", *options, crate], limit_s=BUILD_S)
    return path


POM = """<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>peer</groupId><artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>
{body}</project>
"""


def coordinates(artifact: str) -> str:
    """`group:artifact:version` as a pom has it."""
    group, name, version = artifact.split(":")
    return f"<groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>"


def _dependencies(artifacts: Sequence[str]) -> str:
    lines = "".join(f"  <dependency>{coordinates(each)}</dependency>\n" for each in artifacts)
    return f"<dependencies>\n{lines}</dependencies>\n"


def java_libraries(name: str, artifacts: Sequence[str]) -> Path:
    """The folder with the jars of these artifacts, and of all that they need."""
    folder = CACHE / name
    jars = folder / "lib"
    debian_program("java", ["default-jre-headless"])
    if not jars.exists():
        _maven(folder, name, _dependencies(artifacts), ["dependency:copy-dependencies", f"-DoutputDirectory={jars}"])
    return jars


def maven_plugin(name: str, plugin: str, artifacts: Sequence[str], skip: Sequence[str]) -> Path:
    """The pom that runs a plugin with these artifacts beside it. `skip` is a goal of it that does nothing."""
    folder = CACHE / name
    done = folder / "fetched"
    debian_program("mvn", ["maven"])
    if not done.exists():
        body = f"<build><plugins><plugin>{coordinates(plugin)}\n{_dependencies(artifacts)}</plugin></plugins></build>\n"
        _maven(folder, name, body, skip)
        done.touch()
    return folder / "pom.xml"


def _maven(folder: Path, name: str, body: str, goal: Sequence[str]) -> None:
    program = debian_program("mvn", ["maven"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pom.xml").write_text(POM.format(name=name, body=body))
    _run([str(program), "--quiet", "--batch-mode", "--no-transfer-progress", *goal], cwd=folder)


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise PeerMissing(f"{program} is not installed")


def _run(command: list[str], cwd: Path | None = None, limit_s: float = INSTALL_S) -> None:
    print(f"  fetching: {' '.join(command[-3:])} …", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            command, cwd=cwd, env=environment, check=True, capture_output=True, text=True, timeout=limit_s,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        lines = (error.stderr.strip() or error.stdout.strip() or f"exit {error.returncode}").splitlines()
        # Maven says first what is wrong, the others last.
        raise PeerMissing(next((each for each in lines if "[ERROR]" in each), lines[-1])[:200]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(str(error)[:200]) from error


def npm_file(package: str, path: str) -> Path:
    """A file of an npm package (`name@version`)."""
    folder = CACHE / package.partition("@")[0]
    found = folder / "package" / path
    if not found.exists():
        _need("npm")
        folder.mkdir(parents=True, exist_ok=True)
        _run(["npm", "pack", "--silent", "--pack-destination", str(folder), package], cwd=folder)
        [archive] = folder.glob("*.tgz")
        shutil.unpack_archive(archive, folder, filter="data")
    return found
