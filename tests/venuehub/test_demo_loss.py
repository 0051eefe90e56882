"""How the demo's adversary stands: asked at any time, also while a button's work goes on."""

import asyncio

from back_office.console.demo_control import DemoControl
from venuehub.demo.actions import Said
from venuehub.demo.adversary import LossFigures, standing
from venuehub.demo.control import Control


def test_the_loss_is_told_with_the_bound_and_apart_from_other_guests():
    assert standing(LossFigures(bound=2_400)).en == ""
    said = standing(LossFigures(bound=2_400, taken=2_200, by_adversary=1_800, cards=6, tries=31))
    assert said.en == "¥22.00 of ¥24.00: 6 cards without money tapped 31 times and got ¥18.00, other guests ¥4.00."
    assert said.of == (2_200, 2_400)


def test_the_page_hears_of_the_loss_while_a_button_works(tmp_path):
    async def story():
        done = asyncio.Event()

        async def slow(_action):
            await done.wait()
            return Said("healed", "好了")

        control = Control(tmp_path / "control", slow, lambda: Said("¥1.00 of ¥2.00", "¥1.00 / ¥2.00", (100, 200)))
        await control.start()
        asks = DemoControl(control.url)
        button = asyncio.create_task(asks("uplink_heal"))
        said = await asks("loss")
        done.set()
        assert (said.en, said.zh, said.of) == ("¥1.00 of ¥2.00", "¥1.00 / ¥2.00", (100, 200))
        assert ((await button).en, (await button).of) == ("healed", None)
        await control.stop()

    asyncio.run(story())
