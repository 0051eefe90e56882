"""Other people's files are the ones the manifest names."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load_tool():
    spec = importlib.util.spec_from_file_location("vendor_tool", ROOT / "tools" / "vendor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


vendor = load_tool()


def test_every_copy_has_the_listed_hash_and_nothing_else_lies_there():
    assert vendor.differences(vendor.read_manifest(vendor.MANIFEST), ROOT) == []


def test_every_package_names_its_licence_and_brings_its_text():
    for package in vendor.read_manifest(vendor.MANIFEST):
        assert package.licence in {"0BSD", "OFL-1.1", "MIT", "ISC", "Apache-2.0"}
        assert "LICENSE" in package.files


def test_the_manifest_names_no_address():
    assert re.findall(r"https?://|registry", vendor.MANIFEST.read_text()) == []


@pytest.fixture
def copy(tmp_path):
    package = vendor.read_manifest(vendor.MANIFEST)[0]
    shutil.copytree(ROOT / package.into[0], tmp_path / package.into[0])
    return package, tmp_path


def test_a_changed_byte_a_missing_and_a_stray_file_are_found(copy):
    package, root = copy
    folder = root / package.into[0]
    first, second, third = list(package.files)
    (folder / first).write_bytes((folder / first).read_bytes() + b" ")
    (folder / second).unlink()
    (folder / "stray.js").write_text("")
    found = vendor.differences([package], root)
    assert len(found) == 3
    assert found[0].endswith(f"{first}: not the file of {package.name} {package.version} that vendored.toml names")
    assert "missing" in found[1]
    assert found[2].endswith("stray.js: not listed in vendored.toml")
    assert third not in " ".join(found)


def test_the_manifest_is_written_as_it_is_read(tmp_path):
    again = tmp_path / "vendored.toml"
    again.write_text(vendor.MANIFEST.read_text())
    packages = vendor.read_manifest(again)
    vendor.write_manifest(packages, again)
    assert again.read_text() == vendor.MANIFEST.read_text()
