"""What a sweep is made of, read from a TOML file and checked before anything runs."""

import hashlib
import inspect
import tomllib
from dataclasses import dataclass, field
from itertools import product
from os import PathLike
from pathlib import Path

from bsr import channels, ensembles
from bsr._checks import check_integer
from bsr.model import Problem
from bsr.sweep._tasks import ESTIMATORS, FINISHERS, VIEWS, Estimator, Task

__all__ = ["Config"]

_SUPPLIED = (
    "X",
    "y",
    "channel",
    "descent",
    "rng",
    "callback",
    "progress",
)  # arguments of the estimators that a sweep sets itself
_KEYS = {
    "the file": ("sweep", "problem", "estimator"),
    "[sweep]": ("seed", "seeds", "d", "dtype", "tokens"),
    "[problem]": ("alpha", "beta", "rho", "delta", "channel"),
}


@dataclass(frozen=True)
class Config:
    """A sweep: every problem at every size, with every estimator, on every data set.

    Parameters
    ----------
    problems : tuple of bsr.Problem
    d : tuple of int
        Token dimensions.
    estimators : tuple of Estimator
    seeds : int, default 1
        Number of data sets of each problem and size. Estimators share them.
    seed : int, default 0
        Root of all randomness, zero or positive.
    dtype : {'float32', 'float64'}, default 'float32'
        Type of the tokens.
    name : str, default 'config'
        What error messages call it.
    text : str, default ''
        The file it was read from, kept with the results.
    tokens : tuple, default (None,)
        Laws of the tokens, each a `bsr.ensembles.Ensemble` or None for standard normal entries.

    Raises
    ------
    ValueError
        If a value is not allowed, a size is too small for a problem, or an estimator does not take an option or cannot
        treat a problem.
    """

    problems: tuple
    d: tuple
    estimators: tuple
    seeds: int = 1
    seed: int = 0
    dtype: str = "float32"
    name: str = field(default="config", compare=False)
    text: str = field(default="", compare=False, repr=False)
    tokens: tuple = (None,)

    def __post_init__(self):
        try:
            kinds = {"problems": Problem, "d": object, "estimators": Estimator}
            for key, kind in (kinds | {"tokens": ensembles.Ensemble | None}).items():
                values = getattr(self, key)
                if not isinstance(values, list | tuple) or not all(isinstance(value, kind) for value in values):
                    raise ValueError(f"{key} must be a tuple, got {values!r}")
                if not values:
                    raise ValueError(f"{key} must not be empty")
                object.__setattr__(self, key, tuple(values))
            check_integer("seeds", self.seeds, 1)
            check_integer("seed", self.seed, 0)
            if self.dtype not in ("float32", "float64"):
                raise ValueError(f"dtype must be 'float32' or 'float64', got {self.dtype!r}")
            for problem, d, tokens in product(self.problems, self.d, self.tokens):
                _, L, _ = problem.sizes(d)
                if tokens is not None:
                    tokens.sample((1, L, d))  # says so if there are no such sequences
            object.__setattr__(self, "d", tuple(map(int, self.d)))
            for estimator in self.estimators:
                _check_estimator(estimator)
                for problem, d, tokens in product(self.problems, self.d, self.tokens):
                    _check_values(estimator, problem, d, tokens)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    @classmethod
    def read(cls, path: str | PathLike) -> "Config":
        """Read a TOML file.

        Parameters
        ----------
        path : str or pathlib.Path

        Returns
        -------
        Config

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            As `parse`.
        """
        data = Path(path).read_bytes()
        try:
            return cls.parse(data.decode("utf-8"), name=str(path))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not a text in UTF-8: {error}") from None

    @classmethod
    def parse(cls, text: str, name: str = "config") -> "Config":
        """Read a configuration from a text in TOML.

        Parameters
        ----------
        text : str
            Three kinds of tables. `[sweep]` has the keys `d` (one or a list), `seeds`, `seed`, `dtype`, and `tokens`, a
            table that names one of `bsr.ensembles`, say `{name = "Student", df = 5}`, or a list of them. `[problem]`
            has `alpha`, `beta`, `rho`, `delta`, each a number or a list, and `channel`, which is a table, say
            `{name = "Sign", delta = 0.1}`, or a list of them; lists make a grid, and `[[problem]]` may be repeated.
            `[[estimator]]` has `name` and the options of that function of `bsr.estimators`, and perhaps
            `then = {name = "interpolate"}`, with options, for what is to be done with its result, or
            `view = "whitened"` for what it is to see. A list in its table `grid`, as in `grid = {lr = [0.1, 0.7]}`,
            makes one variant for each entry.
        name : str, default 'config'
            What error messages call it.

        Returns
        -------
        Config

        Raises
        ------
        ValueError
            If the text is not TOML, a key is unknown or missing, or a value is not allowed. The message names the file,
            the key and what is allowed.
        """
        try:
            tables = tomllib.loads(text.removeprefix("\ufeff"))  # the mark that some editors put first
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{name}: not valid TOML: {error}") from None
        try:
            _check_keys(tables, "the file", required=("sweep", "problem", "estimator"))
            sweep = _table(tables["sweep"], "[sweep]")
            _check_keys(sweep, "[sweep]", required=("d",))
            sizes = sweep.pop("d")
            if "tokens" in sweep:
                sweep["tokens"] = _named("tokens", "[sweep]", sweep["tokens"], ensembles.NAMED)
            problems = [p for table in _tables(tables["problem"], "[problem]") for p in _problems(table)]
            estimators = [e for table in _tables(tables["estimator"], "[[estimator]]") for e in _variants(table)]
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        return cls(problems, _as_list(sizes), estimators, **sweep, name=name, text=text)

    def tasks(self) -> list[Task]:
        """All tasks, in the order of their keys.

        That order is as good as random, so the mean time of the tasks done tells the time left. A task that two tables
        ask for comes once.

        Returns
        -------
        list of Task
        """
        cells = product(self.problems, self.d, self.estimators, range(self.seeds), self.tokens)
        tasks = [Task(*cell, self.seed, self.dtype, tokens) for *cell, tokens in cells]
        return [task for _, task in sorted({task.key: task for task in tasks}.items())]

    @property
    def hash(self):
        """SHA-256 of the keys of all tasks: comments and the order of tables do not matter."""
        return hashlib.sha256("".join(task.key for task in self.tasks()).encode()).hexdigest()


def _as_list(value):
    return value if isinstance(value, list) else [value]


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # and not NaN


def _table(value, where):
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table, got {value!r}")
    return dict(value)


def _tables(value, where):
    if value == []:
        raise ValueError(f"{where} must not be empty")
    return [_table(entry, where) for entry in _as_list(value)]


def _check_keys(table, where, required=()):
    allowed = _KEYS[where]
    for key in table:
        if key not in allowed:
            raise ValueError(f"unknown key {key!r} in {where}; allowed are {', '.join(allowed)}")
    for key in required:
        if key not in table:
            raise ValueError(f"key {key!r} is missing in {where}")


def _problems(table):
    """The grid of problems that one table spans."""
    _check_keys(table, "[problem]", required=("alpha",))
    if "channel" in table:
        table["channel"] = _named("channel", "[problem]", table["channel"], channels.NAMED)
    for key, value in table.items():
        if key != "channel" and (value == [] or not all(map(_is_number, _as_list(value)))):
            raise ValueError(f"{key} in [problem] must be a number or a list of them, got {value!r}")
    grids = [_as_list(value) for value in table.values()]
    return [Problem(**dict(zip(table, point, strict=True))) for point in product(*grids)]


def _named(key, where, value, kinds):
    """The channels or ensembles that a table or a list of them describes."""
    return [_one(key, where, table, kinds) for table in _tables(value, f"{key} in {where}")]


def _one(key, where, table, kinds):
    name = table.pop("name", None)
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(f"name of {key} in {where} must be one of {', '.join(kinds)}, got {name!r}")
    parameters = inspect.signature(kinds[name]).parameters
    if unknown := sorted(set(table) - set(parameters)):
        raise ValueError(f"unknown key {unknown[0]!r} in {key} {name}; allowed are {', '.join(parameters) or 'none'}")
    for parameter, about in parameters.items():
        if about.default is inspect.Parameter.empty and parameter not in table:
            raise ValueError(f"key {parameter!r} is missing in {key} {name}")
    return kinds[name](**table)


def _variants(table):
    """The estimators that one table describes."""
    if "name" not in table:
        raise ValueError("key 'name' is missing in [[estimator]]")
    name, grid = table.pop("name"), table.pop("grid", {})
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        raise ValueError(f"grid in [[estimator]] must be a table of non-empty lists, got {grid!r}")
    twice = sorted(set(table) & set(grid))
    if twice:
        raise ValueError(f"{', '.join(twice)} in [[estimator]] must be either an option or in grid, got both")
    return [Estimator(name, table | dict(zip(grid, point, strict=True))) for point in product(*grid.values())]


def _check_estimator(estimator):
    """That the estimator exists, and takes options of these names and kinds."""
    options = dict(estimator.options)
    then, view = options.pop("then", None), options.pop("view", None)
    if view is not None and view not in VIEWS:
        raise ValueError(f"option 'view' of estimator {estimator.name} must be one of {', '.join(VIEWS)}, got {view!r}")
    _check_options("estimator", estimator.name, ESTIMATORS, options)
    if then is not None:
        if not isinstance(then, dict) or "name" not in then:
            raise ValueError(f"option 'then' of estimator {estimator.name} must be a table with a name, got {then!r}")
        then = dict(then)
        name = then.pop("name")
        _check_options("then", name, FINISHERS, then)
        if (first := FINISHERS[name].follows) is not ESTIMATORS[estimator.name]:
            raise ValueError(f"option 'then' of this name follows {first.__name__}, got it for {estimator.name}")


def _check_options(what, name, functions, options):
    if not isinstance(name, str) or name not in functions:
        raise ValueError(f"unknown {what} {name!r}; allowed are {', '.join(functions)}")
    signature = inspect.signature(functions[name]).parameters
    allowed = [key for key in signature if key not in _SUPPLIED]
    for key, value in options.items():
        if key not in allowed:
            raise ValueError(f"unknown option {key!r} of {what} {name}; allowed are {', '.join(allowed)}")
        default = signature[key].default
        if isinstance(default, bool):
            right, kind = isinstance(value, bool), "true or false"
        elif isinstance(default, str) or (default is None and key != "delta"):
            right, kind = isinstance(value, str), "a string"
        elif isinstance(default, int) or key == "rank":
            right, kind = _is_number(value) and isinstance(value, int), "an integer"
        else:
            best = value == "best" and (name, key) == ("nuclear_norm", "lam")
            right, kind = best or _is_number(value), "a number"
        if not right:
            hint = f"; grid = {{{key} = [...]}} makes a variant for each entry" if isinstance(value, list) else ""
            raise ValueError(f"option {key!r} of {what} {name} must be {kind}, got {value!r}{hint}")


def _check_values(estimator, problem, d, tokens):
    """What the estimator itself says of its options, when it is asked for its memory."""
    try:
        _ = Task(problem=problem, d=d, estimator=estimator, index=0, tokens=tokens).memory
    except ValueError as error:
        raise ValueError(f"estimator {estimator.name} at d = {d}, {problem}: {error}") from None
