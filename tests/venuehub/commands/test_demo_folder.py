"""`venuehub demo --keep` tells of a folder that cannot be used, before anything is started."""

import pytest

from venuehub.cli import main


@pytest.mark.parametrize("place", ["/proc/zz", "/dev/null", "/dev/null/kept"])
def test_a_folder_that_cannot_be_made_is_named_with_its_remedy(capsys, place):
    assert main(["demo", "--headless", "--keep", place]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"venuehub: {place}: cannot be written (")
    assert "remedy: name a place that you may write to with --keep" in told
