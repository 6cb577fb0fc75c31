"""Numbers with units, for people."""

NONE = "-"
"""What stands for a number that is not known."""

TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def format_time(seconds: float | None) -> str:
    """Return a time with three digits and a unit that fits; `-` for none."""
    return _format(seconds, TIMES)


def format_size(count: float | None) -> str:
    """Return a number of bytes with three digits and a unit that fits; `-` for none."""
    return _format(count, SIZES)


def _format(value: float | None, units: tuple[tuple[float, str], ...]) -> str:
    if value is None:
        return NONE
    size, unit = next((one for one in units if value >= one[0]), units[-1])
    return f"{value / size:.3g} {unit}"
