"""Writes docs/openapi.json: the office's API as its routes describe it; `--check` says whether the file is so."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from back_office.api.app import make_document

FILE: Final = Path(__file__).parent.parent / "docs" / "openapi.json"


def make_text() -> str:
    """Return the file as it is to be: in the order of the routes, one value a line, so that a change reads as one."""
    return json.dumps(make_document(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is out of date")
    check = parser.parse_args().check
    text = make_text()
    if check:
        fresh = FILE.is_file() and FILE.read_text(encoding="utf-8") == text
        print(f"{FILE.name} is {'as the routes are' if fresh else 'out of date: run python tools/make_openapi.py'}")
        return 0 if fresh else 1
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
