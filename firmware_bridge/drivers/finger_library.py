"""A fingerprint module as its host knows it: who it is, which pages it holds, whose finger matches, its light.

The module compares; nothing here asks for an image or a template, and the line drops one that comes (BIO-1).
"""

import secrets
from typing import Final

import msgspec

from device_profiles.schema import Biometric
from firmware_bridge.drivers.zfm_line import ZfmLine
from firmware_bridge.wire import zfm
from firmware_bridge.wire.zfm import Ask, LightColour, LightMode, Reply

IDENTITY_PAGE: Final = 15
"""The last page of the notepad; other hosts begin with the first."""
IDENTITY_MARK: Final = b"VENUEHUB"
MAYBE_STORED: Final = "maybe_stored"
BREATHING_SPEED, FLASH_SPEED, FLASHES = 100, 25, 2


class Module(msgspec.Struct, frozen=True):
    """Who is on the line. serial: of the maker, or the random one that was written into its notepad."""

    serial: str
    capacity: int
    firmware: str


class FingerLibrary:
    """`module`: who answered last, None for nobody; `problem`: why one that answers cannot be used."""

    def __init__(self, line: ZfmLine, biometric: Biometric) -> None:
        """Take threshold, light and source of the serial number from the profile."""
        self._line: Final = line
        self._biometric: Final = biometric
        self._doubts = 0
        self.module: Module | None = None
        self.problem = ""

    @property
    def doubtful(self) -> bool:
        """Say whether another module may have come in the place of the one that was met."""
        return self._line.doubts != self._doubts

    def mark(self) -> tuple[int, int, int]:
        """Return what moves when something came, or did not come, that answers alone would not show."""
        return self._line.strays, self._line.doubts, self._line.noise_bytes

    async def proves(self, mark: tuple[int, int, int]) -> bool:
        """Say whether each question since `mark` has the very answer that was taken for it.

        The module answers in turn. So an answer of a size that no other has shows that none is still on its way.
        """
        fence = await self._line.ask(Ask.PARAMETERS, attempts=1)
        return fence is not None and self.mark() == mark

    async def meet(self) -> None:
        """Find out who is on the line: at first, after a silence, and when it says that it just got power."""
        self._doubts = self._line.doubts
        self.module, self.problem = None, ""
        password = await self._line.ask(Ask.PASSWORD, zfm.NO_PASSWORD)
        if password is None:
            return
        parameters = await self._line.ask(Ask.PARAMETERS) if password.code == zfm.OK else password
        if parameters is None or parameters.code != zfm.OK:
            self.problem = f"the module refuses the factory's password (code {password.code:02X})"
            return
        await self._name(zfm.read_parameters(parameters.data).capacity)

    async def _name(self, capacity: int) -> None:
        """Read the serial number, without which a page id says nothing about a person."""
        serial, firmware = "", f"{capacity} pages"
        if self._biometric.serial == "notepad":
            serial = await self._notepad_identity()
        else:
            product = await self._line.ask(Ask.PRODUCT)
            if product is not None and product.code == zfm.OK:
                serial, firmware = zfm.product_serial(product.data), zfm.product_model(product.data)
        if serial:
            self.module = Module(serial, capacity, firmware)
            await self.shine(LightMode.BREATHING, LightColour.BLUE)
        else:
            self.problem = "the module tells no serial number; give r307 or as608 as its profile"

    async def _notepad_identity(self) -> str:
        """Return the random identity in the module's notepad; write one at the first meeting."""
        page = bytes([IDENTITY_PAGE])
        found = await self._line.ask(Ask.READ_NOTEPAD, page)
        if found is None or found.code != zfm.OK:
            return ""
        if not found.data.startswith(IDENTITY_MARK):
            text = IDENTITY_MARK + secrets.token_hex(8).upper().encode()
            await self._line.ask(Ask.WRITE_NOTEPAD, page + text.ljust(zfm.NOTEPAD_PAGE_BYTES, b"\0"))
            found = await self._line.ask(Ask.READ_NOTEPAD, page)
            if found is None or not found.data.startswith(text):
                return ""
        return zfm.printable(found.data[len(IDENTITY_MARK) :])

    async def image(self) -> Reply | None:
        """Return whether a finger lies on the glass (OK, NO_FINGER or another code); None where nobody answers."""
        return await self._line.ask(Ask.IMAGE)

    async def features(self, buffer: int) -> bool:
        """Say whether the image was good enough to leave its features in a buffer."""
        reply = await self._line.ask(Ask.FEATURES, bytes([buffer]))
        return reply is not None and reply.code == zfm.OK

    async def known_page(self) -> int | None:
        """Return the page that matches the first buffer surely enough."""
        capacity = self.module.capacity if self.module else 0
        ask = Ask.QUICK_SEARCH if self._biometric.quick_search else Ask.SEARCH
        reply = await self._line.ask(ask, b"\x01\0\0" + capacity.to_bytes(2, "big"))
        if reply is None or reply.code != zfm.OK:
            return None
        match = zfm.read_match(reply.data)
        return match.page if match.score >= self._biometric.threshold and match.page < capacity else None

    async def pages(self) -> set[int] | None:
        """Return the occupied pages as the module's index tables say now; None where they cannot be read whole."""
        capacity = self.module.capacity if self.module else 0
        mark = self.mark()
        pages: set[int] = set()
        for table in range(-(-capacity // zfm.PAGES_PER_INDEX)):
            reply = await self._line.ask(Ask.INDEX, bytes([table]))
            if reply is None or reply.code != zfm.OK:
                return None
            pages |= zfm.read_index(reply.data, table=table)
        return pages if capacity and await self.proves(mark) else None

    async def store(self, page: int) -> str:
        """Store what both buffers have in common under an empty page; return what went wrong.

        Neither question is repeated. `MAYBE_STORED`: nothing proves that nothing was left.
        """
        mark = self.mark()
        merged = await self._line.ask(Ask.MERGE, attempts=1)
        if merged is None or merged.code != zfm.OK:
            return "no_answer" if merged is None else "fingers_differ"
        stored = await self._line.ask(Ask.STORE, b"\x01" + page.to_bytes(2, "big"), attempts=1)
        if stored is not None and stored.code == zfm.OK and page in (await self.pages() or ()) and self.mark() == mark:
            return ""
        return MAYBE_STORED if await self.forget(page) else "not_stored"

    async def forget(self, page: int) -> str:
        """Delete a page; return what went wrong, nothing only where the module, asked again, does not have it.

        Where another module may have come in its place nothing is deleted, and nothing proven.
        """
        if not self.doubtful and await self.proves(self.mark()):
            await self._line.ask(Ask.DELETE, page.to_bytes(2, "big") + b"\0\x01", attempts=1)
        pages = None if self.doubtful else await self.pages()
        if pages is None or self.doubtful:
            return "no_answer"
        return "still_there" if page in pages else ""

    @property
    def has_light(self) -> bool:
        """Say whether somebody before the module sees what `shine` sets."""
        return self._biometric.light == "ring"

    async def shine(self, mode: LightMode, colour: LightColour) -> None:
        """Set the ring of a module that has one; it does not matter whether it listens."""
        if self.has_light and self.module is not None:
            flashing = mode is LightMode.FLASHING
            speed, cycles = (FLASH_SPEED, FLASHES) if flashing else (BREATHING_SPEED, 0)
            await self._line.ask(Ask.LIGHT, bytes([mode, speed, colour, cycles]), attempts=1, matters=False)
