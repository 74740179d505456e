"""From a path to the operations on it: a tree of dicts, one level a segment.

The API's paths are words and `{names}`, so that nothing more general is needed (docs/adr/0012).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Node(Generic[T]):
    words: dict[str, _Node[T]] = field(default_factory=dict)
    variable: _Node[T] | None = None
    methods: dict[str, tuple[T, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What answers a method on a path, with the variable parts of the path."""

    target: T
    ids: Mapping[str, str]


class Tree(Generic[T]):
    """Targets by method and path template, `/cas/{id}/jwt`. A word goes before a variable, as it is longer known."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, template: str, target: T) -> None:
        """Put a target into its place. The first one of a method and path stays."""
        node, names = self._root, []
        for segment in _segments(template):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.words.setdefault(segment, _Node())
        node.methods.setdefault(method, (target, tuple(names)))

    def find(self, method: str, path: str) -> Found[T] | tuple[str, ...]:
        """The target, else the methods that the path has: none when there is no such path."""
        allowed: list[str] = []
        for methods, values in _places(self._root, _segments(path), 0, ()):
            found = methods.get(method)
            if found is not None:
                target, names = found
                return Found(target, dict(zip(names, values, strict=True)))
            allowed += methods
        return tuple(sorted(set(allowed)))


def _segments(path: str) -> list[str]:
    return path.split("/")[1:] if path != "/" else []


_Methods = dict[str, tuple[T, tuple[str, ...]]]


def _places(
    node: _Node[T], segments: list[str], at: int, values: tuple[str, ...]
) -> Iterator[tuple[_Methods[T], tuple[str, ...]]]:
    if at == len(segments):
        if node.methods:
            yield node.methods, values
        return
    segment = segments[at]
    following = node.words.get(segment)
    if following is not None:
        yield from _places(following, segments, at + 1, values)
    if node.variable is not None and segment:
        yield from _places(node.variable, segments, at + 1, (*values, segment))
