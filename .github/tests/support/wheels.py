"""Small wheels, for whatever installs or publishes packages."""

import zipfile
from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str = "1.0", tag: str = "py3-none-any", line: str = ""
) -> Path:
    """Make a wheel without code in a folder; its metadata has one more line, such as a licence."""
    stem = f"{name.replace('-', '_')}-{version}"
    wheel = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{line}\n"
        archive.writestr(f"{stem}.dist-info/METADATA", metadata.encode(errors="surrogateescape"))
        tags = f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n"
        archive.writestr(f"{stem}.dist-info/WHEEL", tags)
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return wheel
