"""The office's broker between hub and worker: it loses, doubles and delays, and it can be cut."""

from collections.abc import Iterable
from typing import Final

from cloud_sync.letters import Publish
from venuehub.simulator.hub import Hub
from venuehub.simulator.office import Office
from venuehub.simulator.world import World

TICK_MS: Final = 500


class Uplink:
    """Both directions. `refused` counts what the office threw away, by reason."""

    def __init__(self, world: World, hub: Hub, office: Office) -> None:
        self.cut = False
        self.refused: dict[str, int] = {}
        self._world = world
        self._hub = hub
        self._office = office
        self._retained: dict[str, bytes] = {}
        hub.uplink = self
        world.after(TICK_MS, self._tick)

    def up(self, topic: str, payload: bytes) -> None:
        """Carry a message of the hub to the worker."""
        if not self.cut:
            self._world.deliver(lambda: self._arrive(topic, payload))

    def _arrive(self, topic: str, payload: bytes) -> None:
        handled = self._office.worker.on_message(topic, payload)
        for refusal in handled.refusals:
            self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + 1
            self._world.note(f"office: refuses a message on {topic.rsplit('/', 1)[1]}: {refusal.reason}")
        self.down(handled.letters)

    def down(self, letters: Iterable[Publish]) -> None:
        """Carry the office's letters to the hub; what it does not hear is lost unless retained."""
        for letter in letters:
            if letter.retain:
                self._retained[letter.topic] = letter.payload
            self._give(letter.topic, letter.payload)

    def give_retained(self) -> None:
        """The hub has subscribed."""
        for topic, payload in self._retained.items():
            self._give(topic, payload)

    def _give(self, topic: str, payload: bytes) -> None:
        def arrive() -> None:
            if self._hub.connected and not self.cut:
                self._hub.hear(topic, payload)

        self._world.deliver(arrive)

    def _tick(self) -> None:
        self.down(self._office.worker.tick())
        self._world.after(TICK_MS, self._tick)
