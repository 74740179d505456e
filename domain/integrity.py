"""Does what is stored agree with itself: references, attribute indexes, policy members, SQLite's pages.

`examine` looks at everything and, where asked, puts right what has one right form: an index or a member
list is made anew from what it is derived from, a reference to nothing goes as its `on_delete` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import store
from domain import roles
from models import TABLES, Enrollment, PolicyMember, PolicyRole


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or was."""

    description: str
    fixed: bool


def examine(*, fix: bool) -> list[Finding]:
    """Everything that is wrong. Needs a transaction, one for writing when it is to be fixed."""
    return [
        *_references(fix=fix),
        *_ownerless(fix=fix),
        *_attributes(fix=fix),
        *_named(fix=fix),
        *_policies(fix=fix),
        *_forgotten(fix=fix),
        *_pages(fix=fix),
    ]


def _pages(*, fix: bool) -> Iterator[Finding]:
    """What SQLite says of its pages and indexes."""
    problem = store.check_integrity()
    if problem == "ok":
        return
    if fix:
        store.reindex()
    yield Finding(f"database: {problem}", fixed=fix and store.check_integrity() == "ok")


def _references(*, fix: bool) -> Iterator[Finding]:
    """Foreign keys that point at nothing."""
    for model in TABLES:
        for field in _meta(model).refs:
            target = field.rel_model
            known = target.select(_meta(target).primary_key)
            broken = ~field.is_null() & field.not_in(known)
            rows = list(model.select().where(broken).dicts())
            fixable = fix and field.on_delete in {"CASCADE", "SET NULL"}
            for row in rows:
                owner = row.get("id") or next(iter(row.values()))
                yield Finding(
                    f"{_meta(model).table_name}.{field.name} has invalid value for {owner}, "
                    f"which references invalid {_meta(target).table_name} {row[field.name]}",
                    fixed=fixable,
                )
            if rows and fixable:
                gone = model.delete() if field.on_delete == "CASCADE" else model.update({field: None})
                gone.where(broken).execute()


def _meta(model: Any) -> Any:
    """What peewee knows of a model; its documented place, whatever the underscore says."""
    return model._meta  # noqa: SLF001


def _ownerless(*, fix: bool) -> Iterator[Finding]:
    """Enrollments of nobody: neither an identity nor a router."""
    e = Enrollment
    nobody = e.identity.is_null() & e.router.is_null()
    for row in list(e.select().where(nobody)):
        yield Finding(f"enrollment {row.id} belongs to nobody", fixed=fix)
    if fix:
        e.delete().where(nobody).execute()


def _attributes(*, fix: bool) -> Iterator[Finding]:
    """Role attributes and their index."""
    for side, (entity, index, plural) in roles.SIDES.items():
        indexed: dict[str, set[str]] = {}
        for key, attribute in index.select(index.entity, index.attribute).tuples():
            indexed.setdefault(key, set()).add(attribute)
        for key, attributes in list(
            entity.select(entity.id, entity.role_attributes).where(roles.eligible(side)).tuples()
        ):
            if set(attributes) == indexed.get(key, set()):
                continue
            if fix:
                roles.set_attributes(side, key, attributes)
            yield Finding(f"the index of the role attributes of {plural} is wrong for {key}", fixed=fix)


def _named(*, fix: bool) -> Iterator[Finding]:
    """`@ids` in policies that stand for nobody."""
    for model, lists in roles.LISTS.items():
        for side, column, name in lists:
            known = roles.ids_of(side)
            for row in list(model.select()):
                listed = getattr(row, column)
                left = [r for r in listed if r[0] != "@" or r[1:] in known]
                if left == listed:
                    continue
                if fix:
                    model.update({getattr(model, column): left}).where(model.id == row.id).execute()
                gone = ", ".join(r for r in listed if r not in left)
                policy = f"{roles.kind_of(model)} {row.id}"
                yield Finding(f"{name} of {policy} names {gone}, which is not there", fixed=fix)


def _policies(*, fix: bool) -> Iterator[Finding]:
    """The roles and members of each policy, held against its lists."""
    stored = _grouped(PolicyMember, PolicyMember.entity)
    indexed = _grouped(PolicyRole, PolicyRole.role)
    for model, lists in roles.LISTS.items():
        for row in list(model.select()):
            wrong = [
                side
                for side, column, _ in lists
                if stored.get((row.id, side), set()) != roles.expected_members(row, side, getattr(row, column))
                or indexed.get((row.id, side), set()) != set(getattr(row, column))
            ]
            if not wrong:
                continue
            if fix:
                roles.policy_changed(model, row)
            yield Finding(
                f"the members of {roles.kind_of(model)} {row.id} are wrong on side {', '.join(wrong)}", fixed=fix
            )


def _grouped(model: Any, value: Any) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for policy, side, one in model.select(model.policy, model.side, value).tuples():
        found.setdefault((policy, side), set()).add(one)
    return found


def _forgotten(*, fix: bool) -> Iterator[Finding]:
    """Roles and members of policies that are gone."""
    known = {key for model in roles.LISTS for (key,) in model.select(model.id).tuples()}
    for model in (PolicyRole, PolicyMember):
        for (key,) in list(model.select(model.policy).distinct().tuples()):
            if key in known:
                continue
            if fix:
                roles.forget_policy(key)
            yield Finding(f"{_meta(model).table_name} has rows of policy {key}, which is not there", fixed=fix)
