"""`venuehub simulate` tells people the worst losses it saw, each beside its bound."""

from venuehub.cli import main


def test_losses_stand_beside_their_bounds(capsys):
    assert main(["simulate", "--seeds", "1", "--steps", "20"]) == 0
    said = capsys.readouterr().out
    assert "1 seeds, 20 steps" in said
    for words in ("played on the floor", "spent after a disk was put back", "brought in unheard", "put back in doubt"):
        assert words in said
    assert "that it may cost" in said
