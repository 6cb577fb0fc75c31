"""Numbers with units, for people."""

NONE = "-"
"""What stands for a number that is not known."""

TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def format_time(seconds: float | None) -> str:
    """Return a time with three digits and a unit that fits; `-` for none."""
    if seconds is None:
        return NONE
    size, unit = next((it for it in TIMES if seconds >= it[0]), TIMES[-1])
    return f"{seconds / size:.3g} {unit}"


def format_size(count: float | None) -> str:
    """Return a number of bytes with three digits and a unit that fits; `-` for none."""
    if count is None:
        return NONE
    size, unit = next((it for it in SIZES if count >= it[0]), SIZES[-1])
    return f"{count / size:.3g} {unit}"


def format_ratio(ratio: float | None) -> str:
    """Return how far a ratio is from 1, with an arrow: `▲ +31%`, `▼ -5%`, `=`; `-` for none."""
    if ratio is None:
        return NONE
    percent = round((ratio - 1) * 100)
    return f"{'▲' if percent > 0 else '▼'} {percent:+d}%" if percent else "="
