"""What a board's word of where it stands means for the table of a cashless device: the steps that lead there."""

from typing import Final

from firmware_bridge.wire.mdb_cashless import State, Step
from firmware_bridge.wire.qibixx import Status

_ROUTES: Final[dict[tuple[Status, State], tuple[Step, ...]]] = {
    (Status.DISABLED, State.INACTIVE): (Step.SETUP,),
    (Status.DISABLED, State.ENDING): (Step.ACKED, Step.DISABLE),
    (Status.ENABLED, State.INACTIVE): (Step.SETUP, Step.ENABLE),
    (Status.ENABLED, State.DISABLED): (Step.ENABLE,),
    (Status.ENABLED, State.ENABLED): (),
    (Status.ENABLED, State.ENDING): (Step.ACKED,),
    (Status.IDLE, State.INACTIVE): (Step.SETUP, Step.ENABLE, Step.BEGIN),
    (Status.IDLE, State.DISABLED): (Step.ENABLE, Step.BEGIN),
    (Status.IDLE, State.ENABLED): (Step.BEGIN,),
    (Status.IDLE, State.ASKED): (Step.CANCEL, Step.ACKED),
    (Status.IDLE, State.HANDED): (Step.LOST,),
    (Status.IDLE, State.DENYING): (Step.ACKED,),
    (Status.VEND, State.INACTIVE): (Step.SETUP, Step.ENABLE, Step.REQUEST),
    (Status.VEND, State.DISABLED): (Step.ENABLE, Step.REQUEST),
    (Status.VEND, State.ENABLED): (Step.REQUEST,),
    (Status.VEND, State.IDLE): (Step.REQUEST,),
    (Status.VEND, State.ASKED): (Step.CANCEL, Step.ACKED, Step.REQUEST),
    (Status.VEND, State.DENYING): (Step.ACKED, Step.REQUEST),
    (Status.VEND, State.ENDING): (Step.ACKED, Step.REQUEST),
    (Status.VEND, State.HANDED): (Step.LOST, Step.REQUEST),
}


def route(status: Status, state: State, *, complete_is_success: bool) -> tuple[Step, ...]:
    """Return the steps to where the board stands; several where lines in between were not heard.

    A result comes before the state behind it: who hears of that with an approval open has missed the result.
    """
    if (status, state) in _ROUTES:
        return _ROUTES[status, state]
    match status:
        case Status.INACTIVE:
            return () if state is State.INACTIVE else (Step.RESET,)
        case Status.ENABLED:
            return (Step.CLOSE if complete_is_success else Step.COMPLETE, Step.ACKED)
        case Status.DISABLED:
            return (Step.DISABLE,)
        case Status.IDLE | Status.VEND:
            return ()
