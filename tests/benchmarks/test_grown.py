"""What disturbs a machine meets a young office and a grown one alike: they take in turn, and each is first as often."""

from benchmarks.grown import TURNS, WARM_UP, beside


def test_both_take_as_often_and_each_is_first_in_turn():
    said = []
    rates = {"young": iter([9, 1, 2, *[4] * 99]), "grown": iter([5] * 99)}

    def takes(name):
        said.append(name)
        return next(rates[name])

    (pair,) = beside(lambda: takes("young"), lambda: takes("grown"), 1)
    assert pair == (4, 5)  # what was measured while it warmed up is not in it
    assert said == ["young", "grown", "grown", "young"] * ((WARM_UP + 1) * TURNS // 2)
