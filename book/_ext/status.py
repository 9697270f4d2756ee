"""The page that says when and on what the book was made; it is read anew in each build.

```{status} build         the commit and the versions
```{status} chapters      when each chapter was executed, for how long, on what
```{status} measurements  all that the record of `measured` has
"""

import datetime
import subprocess
from importlib.metadata import version
from pathlib import Path

import nbformat
from docutils import nodes
from docutils.statemachine import StringList
from jupyter_cache import get_cache
from sphinx.util.docutils import SphinxDirective

from execute_chapters import PACKAGES, record_of, surroundings
from measured import phrase
from measured import record_of as measurements_of

PAGE = "book/status"
BUILDERS = ("jupyter-book", "sphinx", "myst-nb")
UNKNOWN = "not recorded"


def commit(folder):
    """The commit of a folder and whether files differ from it, in words."""
    git = ["git", "-C", str(folder)]
    try:
        head = subprocess.run([*git, "show", "-s", "--format=%h of %cs"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # no git, or a copy without its history
        return "a copy without its history"
    return f"commit {head.stdout.strip()}" + ", with changes that are not committed" * bool(changed)


def in_words(place):
    """On what a chapter ran, from the surroundings that its record keeps."""
    packages = ", ".join(f"{name} {number}" for name, number in place["packages"].items())
    together = f"{place['jobs']} chapters at a time" if place["jobs"] > 1 else "one chapter after the other"
    return f"{place['cores']} cores, {together}, Python {place['python']}, {packages}"


def build(env):
    packages = "; ".join(f"{name} {version(name)}" for name in (*PACKAGES, *BUILDERS))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return [f"Built on {today} from {commit(env.srcdir)}, with Python {surroundings()['python']}; {packages}."]


def number(page):
    """Of a chapter, with a space, by the name of its file; nothing for others."""
    digits = page.rpartition("/")[2].partition("_")[0]
    return f"{int(digits)} " if digits.isdigit() else ""


def chapters(env):
    cache = get_cache(env.mystnb_config.execution_cache_path)
    lines, places, total = ["| chapter | executed (UTC) | seconds |", "|---|---|---|"], [], 0.0
    for page in sorted(env.found_docs):
        path = Path(env.doc2path(page))
        if path.suffix != ".ipynb":
            continue
        record = record_of(cache, nbformat.read(path, as_version=4))
        about = record.data if record else {}
        total += about.get("execution_seconds", 0.0)
        seconds = f"{about['execution_seconds']:.0f}" if record else UNKNOWN
        lines.append(f"| {number(page)}{{doc}}`/{page}` | {about.get('executed', UNKNOWN)} | {seconds} |")
        place = in_words(about["surroundings"]) if "surroundings" in about else UNKNOWN
        places += [place] * (place not in places)
    lines.append(f"| all of them | | {total:.0f} |")
    return [*lines, "", f"On what they ran: {'; or '.join(places)}."]


def measurements(env):
    record, lines = measurements_of(env), []
    for script, run in record["runs"].items():
        packages = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
        threads = "1 thread" if run["threads"] == 1 else f"{run['threads']} threads"
        lines += [
            f":::{{dropdown}} `{script}`, {run['date']}{', on a busy machine' * run['busy']}",
            f"{run['machine']}, {threads}, {run['seconds']} s, at commit {run['commit'] or UNKNOWN}; {packages}. "
            f"Meanwhile other programs took {run['others']:.1f} cores.",
            "",
            "| what | measured |",
            "|---|---|",
        ]
        values = {key: entry for key, entry in record["values"].items() if key.partition(".")[0] == script}
        lines += [f"| {entry['what']} | {phrase(entry)} |" for entry in values.values()]
        lines += [":::", ""]
    return lines


PARTS = {"build": build, "chapters": chapters, "measurements": measurements}


class Status(SphinxDirective):
    required_arguments = 1

    def run(self):
        if self.arguments[0] not in PARTS:
            raise self.error(f"status must be of {', '.join(PARTS)}, got {self.arguments[0]!r}")
        node = nodes.Element()
        lines = StringList(PARTS[self.arguments[0]](self.env), source=self.env.docname)
        self.state.nested_parse(lines, self.content_offset, node)
        return node.children


def always_outdated(app, env, added, changed, removed):
    return [PAGE] if PAGE in env.found_docs else []


def setup(app):
    app.add_directive("status", Status)
    app.connect("env-get-outdated", always_outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
