"""Telemetry stores with one promise broken on purpose."""

from edge_agent.ledger.telemetry import TelemetryStore


class DropsSilently(TelemetryStore):
    """Counts nothing of what it drops."""

    def _count_dropped(self, *_counts: int) -> None:
        pass


class DropsSealed(TelemetryStore):
    """Drops sealed batches that have no receipt."""

    def _make_room(self, *, rounds: int = 1_000) -> bool:
        while self.used_bytes > self._budget:
            batch = self._rows("SELECT min(batch_seq) FROM batches")[0][0]
            if batch is None:
                return super()._make_room(rounds=rounds)
            self._run("DELETE FROM batches WHERE batch_seq = ?", (batch,))
            self._used = None
        return False


class CountsLater(TelemetryStore):
    """Counts in a transaction of its own, which a kill may come before."""

    def _drop_oldest(self) -> bool:
        went = super()._drop_oldest()
        return went and not self._run("UPDATE meta SET value = 0 WHERE key = 'dropped'")


MUTANTS = {"drops-silently": DropsSilently, "drops-sealed": DropsSealed, "forgets-the-count": CountsLater}
