"""docs/openapi.json is as the routes are: a change of what the API promises shows as a change of that file."""

from tools import make_openapi


def test_the_file_is_as_the_routes_are():
    assert make_openapi.FILE.read_text(encoding="utf-8") == make_openapi.make_text(), "run python tools/make_openapi.py"
