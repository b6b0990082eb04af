"""Methods by name, and the numbers of theirs that can be set: the decay, and the fields of the rules, flat by name."""

from collections.abc import Sequence
from dataclasses import fields, replace
from enum import StrEnum
from math import isfinite, nan

from workloads.errors import UserError, unknown_name
from workloads.methods.base import GradientRule, MaskUse, Method, Rule, Scheduled
from workloads.methods.dense import DENSE_TRAINING
from workloads.registry import METHODS, load_part


def load_method(name: str) -> Method:
    """A registered method, every number at its default. Raises UserError for an unknown name."""
    return load_part(METHODS, "method", name, Method)


def asked_method(name: str, patterns: bool, texts: Sequence[str] = ()) -> Method:
    """The method with fields such as "period=50" set. patterns: whether any are given, which all but dense need.

    Raises UserError for an unknown name, for patterns that are missing or too much, and for a wrong field.
    """
    method = load_method(name)
    if patterns and name == DENSE_TRAINING.name:
        raise UserError("--pattern: method 'dense' keeps every weight; leave one of the two out")
    if not patterns and name != DENSE_TRAINING.name:
        raise UserError(f"--pattern: method '{name}' needs one, for example --pattern 2:8")
    return with_fields(method, texts)


def settable(method: Method) -> dict[str, object]:
    """The fields that can be set, with their values.

    The length of the run is the run's own, and where dropped weights are 0 or there are none, nothing can decay.
    """
    fading = method.mask_use is not MaskUse.NONE and method.gradient is not GradientRule.MASKED
    found: dict[str, object] = {"decay": method.decay} if fading else {}
    for rule in _rules(method).values():
        found |= {each.name: getattr(rule, each.name) for each in fields(rule) if each.name != "total_steps"}
    return found


def changed(method: Method, **values: object) -> Method:
    """The method with other values of fields: the decay, and fields in every rule that has one of the name.

    Raises UserError for a value that a rule refuses.
    """
    new = {name: value for name, value in values.items() if name == "decay"}
    with method.named():
        for role, rule in _rules(method).items():
            known = {each.name: values[each.name] for each in fields(rule) if each.name in values}
            new[role] = getattr(replace(rule, **known), getattr(method, role).__name__)
    return replace(method, **new)  # type: ignore[arg-type]


def _rules(method: Method) -> dict[str, Rule]:
    """The rules whose methods are functions of this method, by the field that has the function."""
    owners = {each.name: getattr(getattr(method, each.name), "__self__", None) for each in fields(method)}
    return {name: owner for name, owner in owners.items() if isinstance(owner, Rule)}


def fitted(method: Method, total_steps: int) -> Method:
    """The method with its schedule, if it has one, made for a run of so many steps."""
    if total_steps < 1:
        raise UserError(f"total_steps {total_steps}: a run has at least one step")
    return changed(method, total_steps=total_steps)


def has_schedule(method: Method) -> bool:
    """Whether the method changes over the run, so that it must know how long that is."""
    return any(isinstance(rule, Scheduled) for rule in _rules(method).values())


def with_fields(method: Method, texts: Sequence[str], where: str = "--set") -> Method:
    """The method with fields such as `period=50` changed. where: what they were given by.

    Raises UserError for a field it does not have, and for a value that is none or out of range.
    """
    known = settable(method)
    values: dict[str, object] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise UserError(f"{where} {text}: write FIELD=VALUE, for example {where} period=50")
        if name not in known:
            raise unknown_name(f"field of method '{method.name}'", name, known, where)
        if name in values:
            raise UserError(f"{where} {text}: {name} is set twice")
        values[name] = _value(value, known[name], f"{where} {text}")
        if name == "decay" and float(value) < 0:
            raise UserError(f"{where} {text}: must be 0 or more")
    return changed(method, **values)


def _value(text: str, now: object, where: str) -> object:
    """A value of the kind that the field has now; what has no value now may have a number."""
    if isinstance(now, StrEnum):
        if text not in list(type(now)):
            raise unknown_name("value", text, list(type(now)), where)
        return type(now)(text)
    kind = int if isinstance(now, int) else float
    try:
        number = kind(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise UserError(f"{where}: wanted is a {'whole ' if kind is int else ''}number")
    return number
