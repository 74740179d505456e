"""Queries of hot paths, compiled by peewee once and run many times.

Building SQL text costs peewee more than SQLite needs to run it. A `Prepared` builds it at the first use,
with slots where values go; each run only binds the values. Values are never written into the text.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any

import peewee as pw

import store


class Slot:
    """The place of a value. It passes through peewee as a bound parameter, whatever it is compared with."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Prepared:
    """A query whose structure is fixed.

    Args:
        build: makes the peewee query; each of its arguments is the place of a value. A list of values
            for `in_` comes as `members(place)`.
        model: rows become instances of this model; None gives plain tuples as SQLite has them.
        owner: a foreign key of the model, if the query selects the row that it points at behind the model's own.

    The values given to a run are bound as they are: times in milliseconds, JSON as text.
    """

    def __init__(self, build: Callable[..., Any], model: Any = None, owner: Any = None) -> None:
        self._build, self._model, self._owner = build, model, owner
        self._names = len(inspect.signature(build).parameters)
        self._lock = threading.Lock()
        self._compiled: tuple[str, tuple[Any, ...]] | None = None
        self._shape: Shape = ((), ())
        self._owner_shape: Shape = ((), ())

    def _compile(self) -> tuple[str, tuple[Any, ...]]:
        with self._lock:
            if self._compiled is None:
                slots = [pw.SQL(store.database.param, (Slot(i),)) for i in range(self._names)]
                sql, values = self._build(*slots).sql()
                if self._model is not None:
                    self._shape = _shape(self._model)
                if self._owner is not None:
                    self._owner_shape = _shape(self._owner.rel_model)
                self._compiled = sql, tuple(values)
        return self._compiled

    def execute(self, *values: Any) -> Any:
        """Run it; gives the cursor (for its row count)."""
        sql, places = self._compiled or self._compile()
        bound = [values[p.index] if isinstance(p, Slot) else p for p in places]
        return store.execute(sql, bound)

    def all(self, *values: Any) -> list[Any]:
        """All rows."""
        found = self.execute(*values).fetchall()
        return [self._instance(row) for row in found] if self._model is not None else found

    def first(self, *values: Any) -> Any:
        """The first row, or None."""
        row = self.execute(*values).fetchone()
        return self._instance(row) if row is not None and self._model is not None else row

    def _instance(self, row: Sequence[Any]) -> Any:
        made = instance(self._model, self._shape, row)
        if self._owner is not None:
            rest = row[len(self._shape[0]) :]
            made.__rel__[self._owner.name] = instance(self._owner.rel_model, self._owner_shape, rest)
        return made


@functools.cache
def by_id(model: Any) -> Prepared:
    """The row of a model with an id."""
    return Prepared(lambda key: model.select().where(model.id == key), model)


def members(place: Any) -> Any:
    """The right side of `in_` for a list given as JSON text: one parameter for any length."""
    each = pw.fn.json_each(place).alias("member")
    return pw.Select((each,), (pw.Column(each, "value"),))


def constant(number: int) -> Any:
    """A number in place of a column, for queries that are put together."""
    return pw.Value(number)


Shape = tuple[tuple[str, ...], tuple[tuple[str, Callable[[Any], Any]], ...]]


def _shape(model: Any) -> Shape:
    """The names of the columns, in the order in which `model.select()` has them, and what converts some of them."""
    fields = model._meta.sorted_fields  # noqa: SLF001 - peewee's own registry
    return tuple(f.name for f in fields), tuple((f.name, c) for f in fields if (c := _converter(f)) is not None)


def _converter(field: Any) -> Callable[[Any], Any] | None:
    # Text and integers come from SQLite as they are; only booleans and our JSON need a step.
    if isinstance(field, pw.BooleanField):
        return bool
    plain = isinstance(field, (pw.TextField, pw.IntegerField, pw.ForeignKeyField))
    return None if plain and type(field).__module__ == "peewee" else field.python_value


def instance(model: Any, shape: Shape, row: Sequence[Any]) -> Any:
    """A model instance as peewee would make it from a row, without its general machinery."""
    names, converters = shape
    made = model.__new__(model)
    made.__data__ = data = dict(zip(names, row, strict=False))
    for name, convert in converters:
        if (value := data[name]) is not None:
            data[name] = convert(value)
    made.__rel__ = {}
    made._dirty = set()  # noqa: SLF001 - as peewee's own constructor does
    return made


def insert(row: Any) -> Any:
    """Write a new row, as `save(force_insert=True)` does; the statement is compiled once per model.

    Not for models whose key the database makes. Raises store.IntegrityError. Needs a write transaction.
    Returns the row.
    """
    model: Any = type(row)
    fields = model._meta.sorted_fields  # noqa: SLF001 - peewee's own registry
    store.execute(_insertion(model), [f.db_value(row.__data__.get(f.name)) for f in fields])
    row._dirty.clear()  # noqa: SLF001 - as peewee's own save does
    return row


def insert_values(model: Any, values: dict[str, Any]) -> None:
    """Write a new row from its columns, without an instance of the model; what is left out is null.

    Only text, numbers and JSON: for tables that every request may add to. Needs a write transaction.
    """
    bound = [values.get(n) if to_json is None else to_json(values.get(n)) for n, to_json in _columns(model)]
    store.execute(_insertion(model), bound)


@functools.cache
def _columns(model: Any) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """Name of each column and, for JSON, what makes its text."""
    fields = model._meta.sorted_fields  # noqa: SLF001 - peewee's own registry
    return tuple((f.name, None if type(f).__module__ == "peewee" else f.db_value) for f in fields)


@functools.cache
def _insertion(model: Any) -> str:
    fields = model._meta.sorted_fields  # noqa: SLF001 - peewee's own registry
    sql, _ = model.insert(dict.fromkeys(fields)).sql()
    return str(sql)
