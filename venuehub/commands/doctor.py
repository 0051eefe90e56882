"""`venuehub doctor`: is this machine fit to be a hub?"""

from pathlib import Path
from typing import Annotated

import typer

from venuehub.errors import ExitCode
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer()


@app.command("doctor", epilog="Example: venuehub doctor --state-dir /var/lib/venuehub --json")
def doctor(
    *,
    state_dir: Annotated[Path, typer.Option(help="Where the ledger lives or will live.")] = Path("/var/lib/venuehub"),
    as_json: AsJson = False,
) -> None:
    """Check whether this machine is fit to be a hub.

    Looks at Python, SQLite, disk, broker and serial ports; each problem says how to mend it. Exit code 3 with problems.
    """
    from venuehub.doctor import examine

    findings = examine(state_dir)
    healthy = all(finding.state != "problem" for finding in findings)
    if as_json:
        print_json({"ok": healthy, "findings": findings})
    else:
        for finding in findings:
            print_line(f"{finding.state:8} {finding.name}: {finding.found}")
            if finding.remedy:
                print_line(f"         remedy: {finding.remedy}")
    if not healthy:
        raise typer.Exit(ExitCode.PROBLEMS_FOUND)
