#!/usr/bin/env python3
"""Make uv's CycloneDX document, from standard input, that of one release.

It gets the version, and is the same whenever it is made of the same commit.

The specification: https://cyclonedx.org/docs/1.5/json/.
"""

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from uuid import UUID


def main() -> int:
    """Write the document to standard output."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Reads SOURCE_DATE_EPOCH, the time of the commit."
    )
    parser.add_argument("version")
    parser.add_argument("commit", help="the full commit, which gives the serial number")
    options = parser.parse_args()
    materials = json.load(sys.stdin)
    time = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    materials["metadata"]["timestamp"] = time.isoformat().replace("+00:00", "Z")
    materials["metadata"]["component"]["version"] = options.version
    materials["serialNumber"] = UUID(options.commit[:32], version=5).urn
    json.dump(materials, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
