"""`venuehub simulate`: break everything with seeded dice and prove that no money is lost."""

from typing import Annotated

import typer

from venuehub.errors import CliError, ExitCode
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer()


@app.command("simulate", epilog="Example: venuehub simulate --seeds 20 --json")
def simulate(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to run.")] = 20,
    seed: Annotated[int, typer.Option(help="The first seed, or the only one with --trace.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="What guests do and what breaks, per seed.")] = 120,
    mutant: Annotated[str, typer.Option(help="Run a build that is broken on purpose.")] = "",
    trace: Annotated[bool, typer.Option("--trace", help="Run one seed and print all that happened.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a hub, a bridge and an office in one process, over the real till, logs and books, and break them.

    Kills, power cuts, lost, doubled and late messages, cut lines. Afterwards all money is counted: at the machines, in
    the coin boxes, in the journal and in the books. Exit code 1 where anything is wrong.
    """
    from venuehub.simulator.mutants import MUTANTS
    from venuehub.simulator.run import run_seeds, trace_of

    if mutant and mutant not in MUTANTS:
        code, known = "usage", ", ".join(sorted(MUTANTS))
        raise CliError(code, f"no mutant {mutant!r}", hint=f"choose one of: {known}", exit_code=ExitCode.USAGE)
    if trace:
        outcome = trace_of(seed, steps=steps, mutant=mutant)
        if as_json:
            print_json(outcome)
        else:
            for line in outcome.trace + [f"WRONG: {text}" for text in outcome.wrong]:
                print_line(line)
        ok = not outcome.wrong
    else:
        report = run_seeds(seed, seeds=seeds, steps=steps, mutant=mutant)
        ok = report.ok
        if as_json:
            print_json(report)
        else:
            print_line(f"{report.seeds} seeds, {report.entries} entries, {len(report.failed)} failed")
            for failure in report.failed:
                print_line(f"seed {failure.seed}, {failure.steps} steps. Replay: {failure.replay}")
                for line in [*failure.wrong, *failure.trace]:
                    print_line(f"  {line}")
    if not ok:
        raise typer.Exit(ExitCode.FAILED)
