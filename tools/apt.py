# SPDX-License-Identifier: MIT
"""Files of Debian packages, of any architecture, on a machine whose apt knows a Debian archive.

apt has a state directory of its own, so nothing of the system changes and no root is needed. It
checks signatures with the keys that the system has for that archive.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

from tools.errors import UserError


def run(command: list[str], **options: object) -> str:
    """Run a command; its output, or a UserError with what it said last."""
    try:
        done = subprocess.run(command, check=False, text=True,  # type: ignore[call-overload]
                              capture_output=True, env={**os.environ, "LC_ALL": "C"}, **options)
    except FileNotFoundError:
        raise UserError(f"{command[0]} is not on this machine") from None
    if done.returncode:
        problem = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"{' '.join(command[:2])} failed: {problem[-1] if problem else '?'}")
    return done.stdout


# ---- the system's Debian archives ----------------------------------------------------------------


def signed_by(entry: str, uri: str) -> str:
    """The keyring that a sources entry ("file:number") names for uri; empty when it names none."""
    path = Path(entry.rpartition(":")[0])
    text = path.read_text("utf-8", "replace")
    if path.suffix == ".sources":
        for stanza in text.split("\n\n"):
            fields: dict[str, str] = {}
            key = ""
            for line in stanza.splitlines():
                if line.startswith("#"):
                    continue
                if line[:1] in (" ", "\t"):
                    fields[key] += "\n" + line
                elif ":" in line:
                    key, _, value = line.partition(":")
                    key = key.lower()
                    fields[key] = value.strip()
            if uri.rstrip("/") in (word.rstrip("/") for word in fields.get("uris", "").split()):
                return fields.get("signed-by", "")
        return ""
    for line in text.splitlines():
        if uri.rstrip("/") in line and "signed-by=" in line:
            return line.partition("signed-by=")[2].split("]")[0].split()[0].replace(",", " ")
    return ""


def debian_sources(architecture: str = "arm64", *, with_backports: bool = False) -> str:
    """The system's own Debian archive entries, as a sources file for an architecture."""
    listing = run(["apt-get", "indextargets", "--format",
                   "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SOURCESENTRY)", "Created-By: Packages"])
    stanzas = []
    for line in sorted(set(listing.splitlines())):
        uri, suite, component, entry = line.split("|")
        archive = PurePosixPath(uri.rstrip("/")).name
        if component != "main" or archive not in ("debian", "debian-security"):
            continue
        suites = [suite]
        if with_backports and archive == "debian" and "-" not in suite:
            suites.append(f"{suite}-backports")
        for each in suites:
            stanza = (f"Types: deb\nURIs: {uri}\nSuites: {each}\n"
                      f"Components: main\nArchitectures: {architecture}\n")
            if keys := signed_by(entry, uri):
                stanza += f"Signed-By: {keys}\n"
            stanzas.append(stanza)
    if not stanzas:
        raise UserError("apt knows no Debian archive on this machine")
    return "\n".join(dict.fromkeys(stanzas))


class PrivateApt:
    """apt with a state directory of its own, for arm64 or another architecture.

    `with_backports`: the newest version, from the release's backports if it is there.
    """

    def __init__(self, state: Path, *, architecture: str = "arm64",
                 with_backports: bool = False) -> None:
        self.state = state.resolve()
        for name in ("lists/partial", "cache/archives/partial", "parts"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        (self.state / "status").touch()
        (self.state / "debian.sources").write_text(
            debian_sources(architecture, with_backports=with_backports), "utf-8")
        (self.state / "preferences").write_text(
            "Package: *\nPin: release a=*-backports\nPin-Priority: 500\n"
            if with_backports else "", "utf-8")
        values = {
            "APT::Architecture": architecture, "APT::Architectures::": architecture,
            "APT::Sandbox::User": getpass.getuser(), "APT::Get::List-Cleanup": "false",
            "Dir::State": self.state, "Dir::State::Lists": self.state / "lists",
            "Dir::State::status": self.state / "status", "Dir::Cache": self.state / "cache",
            "Dir::Etc::SourceList": self.state / "debian.sources",
            "Dir::Etc::SourceParts": self.state / "parts",
            "Dir::Etc::Preferences": self.state / "preferences",
            "Dir::Etc::PreferencesParts": "/dev/null", "Acquire::Languages": "none",
        }
        self.options = [f"-o{key}={value}" for key, value in values.items()]

    def update(self) -> None:
        run(["apt-get", *self.options, "update"])

    def dependency(self, metapackage: str, prefix: str) -> str:
        """The versioned package that a metapackage depends on, whose name begins so."""
        try:
            answer = run(["apt-cache", *self.options, "depends", metapackage])
        except UserError as error:
            raise UserError(f"apt can reach no source that has {metapackage}") from error
        for line in answer.splitlines():
            kind, _, package = line.strip().partition(": ")
            if kind == "Depends" and package.startswith(prefix):
                return package
        raise UserError(f"{metapackage} depends on no {prefix} package")

    def download(self, package: str) -> Path:
        into = self.state / "debs"
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        run(["apt-get", *self.options, "download", package], cwd=into)
        return next(into.glob("*.deb"))


def read_member(deb: Path, wanted: str) -> bytes:
    """The file of a package whose path matches the pattern."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpack:
        assert unpack.stdout
        with tarfile.open(fileobj=unpack.stdout, mode="r|") as tar:
            for member in tar:
                if member.isfile() and PurePosixPath(member.name).match(wanted):
                    file = tar.extractfile(member)
                    assert file
                    data = file.read()
                    unpack.kill()
                    return data
    raise UserError(f"{deb.name} holds no {wanted}")
