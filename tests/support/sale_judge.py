"""What a ledger owes after its hub fell: everything given is paid for, everything else has exactly one end."""

from collections import Counter
from contextlib import closing
from pathlib import Path

from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.integrity import full_check
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.store import LedgerDamagedError
from edge_agent.start.opening import Opened, Place, open_ledger
from payment_core.authorization import State
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Voided
from tests.support.hall import Hall, commands
from tests.support.ledger_truth import entries, faults_of, states
from tests.support.sale_child import EPOCH

PAID = {State.COMMANDED, State.CAPTURED, State.IN_DOUBT}


class Judge:
    """Opens the ledger of a hub that fell as the next start does, and lets the bridge answer what it is asked.

    `given`: the ids of what a machine gave; `acked`: the newest entry whose step was over. `broken`: what was not kept.
    """

    def __init__(self, folder: Path, given: set[str], *, acked: int, run: int) -> None:
        self.broken: list[str] = []
        self.place = Place(folder)
        opened = open_ledger(self.place, epoch=EPOCH)
        if not isinstance(opened, Opened):
            self.broken.append(f"the next start does not open the ledger: {opened.why}")
            return
        self._given = {uuid_bytes(command) for command in given}
        if read_tail(opened.store).seq < acked:
            self.broken.append(f"entry {acked} was acknowledged, the journal ends at {read_tail(opened.store).seq}")
        self._look_at_debits(opened)
        self._reconcile(opened, run)
        opened.mark.close()
        opened.store.close()

    def _look_at_debits(self, opened: Opened) -> None:
        found = states(opened.store)
        unpaid = [key.hex() for key in self._given if found.get(key) not in PAID]
        self.broken += [f"{key} was given without a durable debit" for key in unpaid]
        try:
            with closing(LedgerReader(self.place.ledger)) as reader:
                for _ in full_check(reader, opened.store.sums, self.place.ledger):
                    pass
        except LedgerDamagedError as error:
            self.broken.append(str(error))

    def _reconcile(self, opened: Opened, run: int) -> None:
        """Start a till: its bridge is asked about each open one, and answers; then nothing is left to ask."""
        hall = Hall(self.place.ledger, open_store=lambda _path: opened.store, seed=run + 1)
        before = {key for key, state in states(opened.store).items() if state is State.COMMANDED}
        for _ in range(2):
            asked = commands(hall.effects)
            hall.step(*(hall.answer(command, self._outcome(command.id)) for command in asked))
        after = states(opened.store)
        for key in before:
            wanted = State.CAPTURED if key in self._given else State.VOIDED
            if after[key] is not wanted:
                self.broken.append(f"{key.hex()} is {after[key]} after its bridge answered, not {wanted}")
        voids = Counter(
            entry.header.authorization_id for entry in entries(opened.store) if isinstance(entry, Voided)
        )
        self.broken += [f"{key.hex()} was voided {count} times" for key, count in voids.items() if key and count > 1]
        self.broken += [f"{key.hex()} was given and voided" for key in voids if key in self._given]
        self.broken += faults_of(opened.store)

    def _outcome(self, command: str) -> str:
        return "done" if uuid_bytes(command) in self._given else "refused"


def broken_promises_after(folder: Path, said: list[str], *, run: int, given: set[str] | None = None) -> list[str]:
    """Judge a ledger by what its child said; `given`: what earlier children gave, which grows."""
    known = set() if given is None else given
    known |= {line.split()[1] for line in said if line.startswith("gave ")}
    acked = max((int(line.split()[1]) for line in said if line.startswith("acked ")), default=0)
    return Judge(folder, known, acked=acked, run=run).broken
