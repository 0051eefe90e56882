"""`venuehub simulate`: break everything with seeded dice and prove that no money is lost."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from venuehub.simulator.plan import VenuePlan
    from venuehub.simulator.report import Report
    from venuehub.simulator.run import Orders

app = typer.Typer()


@app.command("simulate", epilog="Example: venuehub simulate --seeds 20 --json")
def simulate(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to run.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The first seed, or the only one with --trace.")] = 1,
    hubs: Annotated[int, typer.Option(min=1, max=20, help="How many hubs the venue has.")] = 6,
    accounts: Annotated[int, typer.Option(min=3, max=200, help="How many guests' accounts there are.")] = 12,
    steps: Annotated[int, typer.Option(min=1, help="What guests do and what breaks, per seed.")] = 400,
    faults: Annotated[str, typer.Option(help="all, none, or names of --list-faults with commas between.")] = "all",
    only: Annotated[str, typer.Option(help="With --trace: only these steps, as 3,7-9.")] = "",
    mutant: Annotated[str, typer.Option(help="Run a build that is broken on purpose, until it is seen.")] = "",
    write_config: Annotated[Path | None, typer.Option(help="Write the venue here, run nothing.")] = None,
    jobs: Annotated[int, typer.Option(min=0, max=64, help="How many processes run seeds; 0: one per processor.")] = 0,
    trace: Annotated[bool, typer.Option("--trace", help="Run one seed and print all that happened.")] = False,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Print what can break, nothing else.")] = False,
    list_mutants: Annotated[bool, typer.Option("--list-mutants", help="Print the broken builds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a venue's hubs, bridges and office in one process, over the real tills, logs and books, and break them.

    Kills, power cuts, bad disks and clocks, lost, doubled and late messages, cut lines. Afterwards all money is
    counted: at the machines, in the coin boxes, in the journals and in the books. Exit code 1 where anything is wrong.
    """
    from venuehub.simulator.faults import FAULTS
    from venuehub.simulator.mutants import MUTANTS
    from venuehub.simulator.plan import VenuePlan
    from venuehub.simulator.report import hunt_mutant, simulate_seeds
    from venuehub.simulator.run import Orders, processors

    if list_faults or list_mutants:
        _print_names(list(FAULTS if list_faults else MUTANTS), as_json=as_json)
        return
    if only and not trace:
        code, message = "usage", "--only chooses among the steps of one seed"
        raise CliError(code, message, where="--only", hint="give it together with --trace", exit_code=ExitCode.USAGE)
    _known(mutant, MUTANTS, what="mutant")
    orders = Orders(
        plan=VenuePlan(hubs=hubs, accounts=accounts), steps=steps, faults=_faults(faults, FAULTS), mutant=mutant
    )
    if write_config is not None:
        _write_config(write_config, orders.plan, as_json=as_json)
        return
    if trace:
        ok = _trace(seed, orders, only=only, as_json=as_json)
    elif mutant:
        hit = hunt_mutant(seed, seeds=seeds, orders=orders)
        ok = not hit.caught
        if as_json:
            print_json(hit)
        else:
            print_line(f"{mutant}: seed {hit.seed}: {hit.invariant}" if hit.caught else f"{mutant}: not caught")
            if hit.caught:
                print_line(f"Replay: {hit.replay}")
    else:
        report = simulate_seeds(seed, seeds=seeds, orders=orders, jobs=jobs or processors())
        ok = report.ok
        if as_json:
            print_json(report)
        else:
            _print_report(report)
    if not ok:
        raise typer.Exit(ExitCode.FAILED)


def _print_names(names: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json(names)
        return
    for name in names:
        print_line(name)


def _write_config(folder: Path, plan: "VenuePlan", *, as_json: bool) -> None:
    from venuehub.exposure_tools import write_folder
    from venuehub.simulator.losses import bound_of
    from venuehub.simulator.plan import UNIT

    if folder.is_dir() and any(folder.iterdir()):
        message, hint = "this folder holds files already", "name a new or an empty folder with --write-config"
        raise CliError("usage", message, where=str(folder), hint=hint, exit_code=ExitCode.USAGE)
    risks = {f"hub-{number:02}": plan.risk() for number in range(plan.hubs)}
    try:
        write_folder(folder, UNIT, risks, rollbacks=plan.rollbacks, days=plan.days)
    except OSError as error:
        code, message = "settings", f"cannot be written ({error.strerror or error})"
        hint = "name a folder that you may write to with --write-config"
        raise CliError(code, message, where=str(folder), hint=hint, exit_code=ExitCode.USAGE) from error
    if as_json:
        print_json(bound_of(plan))
    else:
        print_line(f"written to {folder}: see venuehub exposure --config {folder}")


def _known(name: str, names: Mapping[str, object], *, what: str) -> None:
    if name and name not in names:
        code, known = "usage", ", ".join(sorted(names))
        hint, where = f"choose one of: {known}", f"--{what}"
        raise CliError(code, f"no {what} {name!r}", where=where, hint=hint, exit_code=ExitCode.USAGE)


def _faults(text: str, known: Mapping[str, object]) -> tuple[str, ...]:
    if text in ("all", "none"):
        return tuple(known) if text == "all" else ()
    names = [name for name in text.split(",") if name]
    for name in names:
        _known(name, known, what="faults")
    return tuple(name for name in known if name in names)


def _trace(seed: int, orders: "Orders", *, only: str, as_json: bool) -> bool:
    from venuehub.simulator.run import actions_of, run_actions
    from venuehub.simulator.shrink import numbers_of

    actions = actions_of(seed, orders)
    if only:
        try:
            wanted = numbers_of(only)
        except ValueError as error:
            code = "usage"
            raise CliError(code, str(error), where="--only", hint="write 3,7-9", exit_code=ExitCode.USAGE) from error
        actions = [action for action in actions if action.number in wanted]
        if not actions:
            code, message, hint = (
                "usage",
                "the seed has no such step",
                f"there are {orders.steps}: give others, or more",
            )
            raise CliError(code, message, where="--only", hint=hint, exit_code=ExitCode.USAGE)
    outcome = run_actions(seed, orders, actions, keep_trace=True)
    if as_json:
        print_json(outcome)
    else:
        for line in outcome.trace + [f"WRONG: {text}" for text in outcome.wrong]:
            print_line(line)
        print_line(f"{'WRONG' if outcome.wrong else 'ok'}: trace hash {outcome.trace_hash}")
    return not outcome.wrong


def _money(amount: int) -> str:
    from payment_core.money import money_text, shown
    from venuehub.simulator.plan import UNIT

    return money_text(shown(amount, UNIT))


def _print_report(report: "Report") -> None:
    steps, entries = counted(report.steps, "step"), counted(report.entries, "entry", "entries")
    print_line(f"{counted(report.seeds, 'seed')}, {steps}, {entries}, {len(report.failed)} failed")
    losses = (
        ("played on the floor", report.floor_loss_max, report.floor_bound),
        ("spent after a disk was put back", report.rollback_loss_max, report.rollback_bound),
        ("brought in unheard", report.topup_loss_max, report.topup_bound),
        ("put back in doubt", report.doubt_loss_max, report.doubt_bound),
    )
    for words, worst, bound in losses:
        print_line(f"  {words:<32} at most {_money(worst)} of the {_money(bound)} that it may cost")
    print_line(f"  {'spent beyond what there was':<32} {_money(report.overspend)}")
    print_line(
        f"  {'refused with money in the venue':<32} {counted(report.refused_with_money_in_venue_lan_up, 'time')}"
    )
    for failure in report.failed:
        print_line(f"seed {failure.seed}, {counted(failure.steps, 'step')}. Replay: {failure.replay}")
        for line in [*failure.wrong, *failure.trace]:
            print_line(f"  {line}")
