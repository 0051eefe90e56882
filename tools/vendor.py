"""Copy other people's browser files into our static folders as `vendored.toml` lists them, and check their hashes.

    python tools/vendor.py check            every copy is the file the manifest names
    python tools/vendor.py fetch            get the packages with `npm pack` and copy the listed files
    python tools/vendor.py fetch --accept   same, and write the hashes of what came: after a version was changed

Needed by whoever raises a version, never at run time. Where packages come from is npm's own configuration.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "vendored.toml"


@dataclass(kw_only=True)
class Package:
    """One package of the manifest. `files`: path inside the package and below each of `into`, with its SHA-256."""

    name: str
    version: str
    licence: str
    into: list[str]
    files: dict[str, str] = field(default_factory=dict)

    def copies(self, root: Path) -> list[tuple[Path, str]]:
        """Return every copy in the tree with the hash it must have."""
        return [(root / folder / path, digest) for folder in self.into for path, digest in self.files.items()]


def read_manifest(path: Path) -> list[Package]:
    """Return the packages that `vendored.toml` lists."""
    return [Package(**row) for row in tomllib.loads(path.read_text())["package"]]


def differences(packages: list[Package], root: Path) -> list[str]:
    """Return one sentence per copy that is missing or is not the listed file, and per file that nobody listed."""
    found = []
    for package in packages:
        for path, digest in package.copies(root):
            place = path.relative_to(root)
            if not path.is_file():
                found.append(f"{place}: missing; run `python tools/vendor.py fetch`")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                found.append(f"{place}: not the file of {package.name} {package.version} that vendored.toml names")
        for folder in package.into:
            present = {path for path in (root / folder).rglob("*") if path.is_file()}
            listed = {root / folder / path for path in package.files}
            found += [f"{path.relative_to(root)}: not listed in vendored.toml" for path in sorted(present - listed)]
    return found


def fetch(package: Package, root: Path, *, accept: bool) -> None:
    """Copy the listed files of one package; with `accept` take over their hashes, else refuse other bytes."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [shutil.which("npm") or "npm", "pack", f"{package.name}@{package.version}", "--silent"],
            cwd=scratch,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        archive = next(Path(scratch).glob("*.tgz"))
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        for path, digest in package.files.items():
            content = (Path(scratch) / "package" / path).read_bytes()
            arrived = hashlib.sha256(content).hexdigest()
            if arrived != digest and not accept:
                sys.exit(f"{package.name} {package.version}: {path} is not the file that vendored.toml names")
            package.files[path] = arrived
            for folder in package.into:
                target = root / folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)


def write_manifest(packages: list[Package], path: Path) -> None:
    """Write the manifest anew, with the comment on its top."""
    head = path.read_text().partition("[[package]]")[0]
    blocks = []
    for package in packages:
        lines = ["[[package]]"]
        lines += [f'{key} = "{getattr(package, key)}"' for key in ("name", "version", "licence")]
        lines += ["into = [", *(f'    "{folder}",' for folder in package.into), "]", "[package.files]"]
        lines += [f'"{name}" = "{digest}"' for name, digest in package.files.items()]
        blocks.append("\n".join(lines) + "\n")
    path.write_text(head + "\n".join(blocks))


def main() -> None:
    """Check or fetch, as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", choices=("check", "fetch"))
    parser.add_argument("--accept", action="store_true", help="write the hashes of what came into the manifest")
    arguments = parser.parse_args()
    packages = read_manifest(MANIFEST)
    if arguments.action == "fetch":
        for package in packages:
            fetch(package, ROOT, accept=arguments.accept)
        if arguments.accept:
            write_manifest(packages, MANIFEST)
    found = differences(packages, ROOT)
    print("\n".join(found) or f"{sum(len(package.copies(ROOT)) for package in packages)} vendored files are as listed")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
