"""Room for many sockets: each hub's link needs a few file descriptors, and so does its broker."""

import resource
from typing import Final

from venuehub.errors import CliError, ExitCode

FILES_OF_A_HUB: Final = 4
"""A TLS socket, and the pair by which paho wakes itself; one more while it connects."""
FILES_BESIDE: Final = 256


def make_room(hubs: int) -> tuple[int, int]:
    """Raise this process's limit of open files, and so that of what it starts; return (before, now).

    CliError where the system does not allow as many as `hubs` need.
    """
    wanted = FILES_BESIDE + hubs * FILES_OF_A_HUB
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft, soft
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (OSError, ValueError) as error:
            raise CliError(
                "no_room", f"{hubs} hubs need {wanted} open files, and this system allows {hard}", where="--hubs",
                hint=f"raise it (ulimit -Hn {wanted} as root, LimitNOFILE= in a unit), or take fewer hubs",
                exit_code=ExitCode.UNAVAILABLE,
            ) from error  # fmt: skip
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft, wanted
