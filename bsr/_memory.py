"""How much memory there is, on the machine or in the container or batch job around this process; what needs more."""

from bisect import bisect_right
from pathlib import Path

import psutil

__all__ = ["available", "check_memory", "fits"]

_SMALL = 2e8  # bytes that nobody needs to ask for

# A group of the control groups of Linux, in their second and first version: what it may take, what it takes, and the
# part of that which the kernel gives back when asked: pages of files that nobody has used lately.
_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def available(root="/"):
    """Bytes that this process and its children may still take without swapping, or being killed.

    Parameters
    ----------
    root : str or pathlib.Path, default '/'
        Where `proc` and `sys` are.

    Returns
    -------
    int
    """
    return min([psutil.virtual_memory().available, *_rooms(Path(root))])


def fits(need):
    """Whether so many bytes are there; a little always is."""
    return need <= _SMALL or need <= available()


def check_memory(name, memory, shape, dtype, rank=None, **options):
    """Refuse to begin what needs more memory than there is.

    Parameters
    ----------
    name : str
        What would begin, for the message.
    memory : callable
        Gives the bytes beyond X from a shape, its dtype, the rank unless that is None, and the options.
    shape : tuple of int
        (n, L, d).

    Raises
    ------
    MemoryError
        With the estimate, what is available, and the largest d that would fit at the same ratios.
    """
    n, L, d = shape

    def need(k):
        smaller = tuple(max(1, size * k**power // d**power) for size, power in ((n, 2), (L, 1), (d, 1)))
        return memory(smaller, dtype, **({} if rank is None else {"rank": max(1, rank * k // d)}), **options)

    if fits(need(d)):
        return
    limit = available()
    largest = bisect_right(range(1, d), limit, key=need)
    raise MemoryError(
        f"{name} needs {need(d) / 1e9:.3g} GB besides X for (n, L, d) = {shape}"
        f"{'' if rank is None else f' at rank {rank}'}, {limit / 1e9:.3g} GB are available; "
        f"with the same ratios d <= {largest} would fit"
    )


def _rooms(root):
    """What each group that holds this process has left, its ancestors included: each of them can end it."""
    for version, path in _groups(root):
        top = root / "sys" / "fs" / "cgroup" / version
        group = top.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
        limit, usage, idle = _FILES[version]
        # A container may see the path that its group has outside, where it is not; its own is at the top then.
        for folder in (group, *group.parents):
            room = _room(folder / limit, folder / usage, folder / "memory.stat", idle)
            if room is not None:
                yield room
            if folder == top:
                break


def _groups(root):
    """(version, path) of the groups that account for this process's memory."""
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and controllers == "":
            yield "", path
        elif "memory" in controllers.split(","):
            yield "memory", path


def _room(limit, usage, statistics, idle):
    try:
        most, taken = int(limit.read_text()), int(usage.read_text())
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
    try:
        given_back = dict(line.split() for line in statistics.read_text().splitlines()).get(idle, 0)
    except (OSError, ValueError):
        given_back = 0
    return max(0, most - taken + int(given_back))
