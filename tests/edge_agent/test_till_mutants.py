"""The till's promises fail on the builds that break them; the registry names a proof for each."""

from tests.support.hall import Hall, commands, the_view
from tests.support.ledger_truth import faults_of, kinds
from tests.support.mutants import MUTANTS
from tests.support.tree import ROOT


def hall_of(tmp_path, mutant):
    hall = Hall(tmp_path / "ledger.db", till=MUTANTS[mutant].till)
    hall.enroll("card-7", 150)
    return hall


def test_every_mutant_names_a_proof_that_is_there():
    for name, mutant in MUTANTS.items():
        path, _, test = mutant.proof.partition("::")
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), name
        assert mutant.breaks


def test_a_coin_booked_twice_is_caught(tmp_path):
    hall = hall_of(tmp_path, "credit-without-mark")
    coin = hall.coin()
    hall.step(coin)
    hall.step(coin)
    assert kinds(hall.store).count("CoinBooked") == 2
    hall.store.close()


def test_a_second_answer_is_caught(tmp_path):
    hall = hall_of(tmp_path, "decline-replay")
    tap = hall.tap("card-7")
    hall.step(tap)
    hall.wait(300)
    effects = hall.step(hall.lease("card-7", 1_000), tap)
    assert (the_view(effects).state, len(commands(effects))) == ("held", 1)
    assert faults_of(hall.store) != []
    hall.store.close()


def test_a_second_sale_is_caught(tmp_path):
    hall = hall_of(tmp_path, "bounce-while-parked")
    hall.step(hall.tap("card-7"))
    hall.wait(50, hall.tap("card-7"))
    assert len(commands(hall.step(hall.lease("card-7", 1_000)))) == 2
    hall.store.close()
