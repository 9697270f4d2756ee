"""Answer a page's requests to a CDN from packages installed here, so that no test needs the internet."""

import json
import re
from pathlib import Path

PACKAGES = Path(__file__).parent / "node_modules"

_EXACT = re.compile(r"https://cdn\.jsdelivr\.net/npm/((?:@[^/@]+/)?[^/@]+)@(\d+\.\d+\.\d+)/([^?#]+)")


def installed():
    """Whether every package of package.json is installed in the version it names."""
    wanted = json.loads((PACKAGES.parent / "package.json").read_text())["dependencies"]
    return all(_version(name) == version for name, version in wanted.items())


def _version(package):
    description = PACKAGES / package / "package.json"
    return json.loads(description.read_text())["version"] if description.exists() else None


def local_file(url):
    """The installed file that an address means.

    Parameters
    ----------
    url : str
        `https://cdn.jsdelivr.net/npm/package@1.2.3/path`; the version must be complete, and the installed one.

    Returns
    -------
    pathlib.Path or None
        None where the address is another one or the package has no such file.
    """
    match = _EXACT.fullmatch(url)
    if match is None or _version(match[1]) != match[2]:
        return None
    file = (PACKAGES / match[1] / match[3]).resolve()
    return file if file.is_file() and file.is_relative_to(PACKAGES) else None
