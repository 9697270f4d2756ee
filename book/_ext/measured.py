"""Numbers that were measured, read from the record that `python tests/benchmarks` keeps, when the book is built.

    {measured}`gamp.iteration`        the value with its unit: 7.6 ms
    {measured}`gamp.iteration ms`     in that unit, without it, for a table whose head names it: 7.6

Two digits; the least and the largest of several as "1.7 to 1.9"; powers of ten as a formula. A key that is not in the
record is an error. The directive `experiments` makes the table of the stored experiments from their files:

    ```{experiments}
    fig3: {numref}`fig-09-samples`
    gd_mean gd_mean_100: {numref}`fig-12-mean`
    ```

Each line has one or more files of `experiments/results`, without ending, and where they are drawn. A file that no line
has is an error too, unless it was made from others without a task of its own.
"""

import csv
import json
import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

LOGGER = logging.getLogger(__name__)
SPACE = "\N{NO-BREAK SPACE}"
UNITS = {  # of the record: those that a reader may want, and how many make one of it
    "s": {"s": 1.0, "ms": 1e3, "µs": 1e6, "ns": 1e9},
    "GB": {"GB": 1.0},
    "GB/s": {"GB/s": 1.0},
    "": {"": 1.0, "%": 100.0},
}


def digits(value):
    """A number as a reader wants it; formulas are between dollars."""
    if isinstance(value, int):
        return str(value)
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.1e}".split("e")
        return rf"${mantissa.removesuffix('.0')} \cdot 10^{{{int(exponent)}}}$"
    if abs(value) >= 10:
        return f"{value:.0f}"
    return f"{value:#.2g}".rstrip(".")


def usual_unit(value, unit):
    """That in which a time is at least one, if it is below a tenth of a second."""
    if unit != "s" or value >= 0.1:
        return unit
    return next((name for name, factor in UNITS["s"].items() if name != "s" and value * factor >= 1), "ns")


def phrase(entry, unit=""):
    """A value of the record in words: with the unit that suits it, or without in the unit asked for.

    Raises
    ------
    ValueError
        If the value has another kind of unit.
    """
    values = entry["value"] if isinstance(entry["value"], list) else [entry["value"]]
    chosen = unit or usual_unit(max(values), entry["unit"])
    if chosen not in UNITS[entry["unit"]]:
        allowed = ", ".join(filter(None, UNITS[entry["unit"]])) or "none"
        raise ValueError(f"unit must be among {allowed}, got {chosen!r}")
    factor = UNITS[entry["unit"]][chosen]
    ends = list(dict.fromkeys(digits(value if factor == 1.0 else value * factor) for value in values))
    return " to ".join(ends) + (f"{SPACE}{chosen}" if chosen and not unit else "")


def record_of(env):
    """The record, of which the page that is read depends."""
    path = Path(env.srcdir, env.config.measured_file)
    env.note_dependency(str(path))
    return json.loads(path.read_text(encoding="utf-8"))


class Measured(SphinxRole):
    def run(self):
        key, _, unit = self.text.partition(" ")
        try:
            words = phrase(record_of(self.env)["values"][key], unit.strip())
        except KeyError:
            return self._wrong(f"nothing measured has the key {key!r}")
        except ValueError as error:
            return self._wrong(f"{key}: {error}")
        parts = words.split("$")  # formulas are every other
        return [nodes.math(part, part) if i % 2 else nodes.Text(part) for i, part in enumerate(parts) if part], []

    def _wrong(self, text):
        message = self.inliner.reporter.error(text, line=self.lineno)
        return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]


def summary(path):
    """Sizes, tasks and seconds of a stored experiment: from its first lines, or of a script's table from its rows."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    sizes = {int(row["d"]) for row in rows if row.get("d")}
    told = re.search(r"^# tasks done (\d+), .*; (\d+) s of one worker$", "\n".join(lines), re.MULTILINE)
    if told:
        return sizes, int(told[1]), float(told[2])
    seconds = [float(row["seconds"]) for row in rows if row.get("seconds")]
    return sizes, len(seconds), sum(seconds)


class Experiments(SphinxDirective):
    has_content = True

    def run(self):
        folder = Path(self.env.srcdir, "experiments")
        known = {path.stem: path for path in sorted(folder.glob("results/*.csv"))}
        table = ["| file | $d$ | tasks | seconds of one worker | drawn in |", "|---|---|---|---|---|"]
        for line in self.content:
            names, _, place = line.partition(":")
            if unknown := [name for name in names.split() if name not in known]:
                raise self.error(f"no table of experiments/results: {', '.join(unknown)}")
            paths = [known.pop(name) for name in names.split()]
            for path in paths:
                self.env.note_dependency(str(path))
            sizes, tasks, seconds = zip(*map(summary, paths), strict=True)
            files = [f"`{path.stem}.{'toml' if (folder / f'{path.stem}.toml').exists() else 'py'}`" for path in paths]
            every = ", ".join(map(str, sorted(set().union(*sizes))))
            table.append(f"| {', '.join(files)} | {every} | {sum(tasks)} | {sum(seconds):.0f} |{place} |")
        if left := [name for name, path in known.items() if summary(path)[1]]:
            raise self.error(f"tables of experiments/results that no line has: {', '.join(left)}")
        node = nodes.Element()
        self.state.nested_parse(StringList(table, source=self.env.docname), self.content_offset, node)
        return node.children


def setup(app):
    app.add_config_value("measured_file", "tests/benchmarks/measured.json", "env", [str])
    app.add_role("measured", Measured())
    app.add_directive("experiments", Experiments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
