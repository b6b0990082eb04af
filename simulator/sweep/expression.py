"""Constraints and ties of a sweep: arithmetic over the fields of a point, such as `array.rows * array.cols <= 1024`."""

import ast
import operator
from collections.abc import Callable, Mapping

from workloads.errors import UserError, unknown_name

Value = int | float | str | bool | None
# Their operands are of any type: what cannot be worked out is said when it is tried.
BINARY: Mapping[type, Callable[..., Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARE: Mapping[type, Callable[..., bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def value_of(text: str, fields: Mapping[str, Value]) -> Value:
    """The value of an expression: numbers, quoted texts, fields, + - * / // %, comparisons, and, or, not.

    Raises UserError that quotes the expression.
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        raise UserError(f"'{text}': is no expression; write for example array.rows * array.cols <= 1024") from None
    try:
        return _value(tree, fields, text)
    except (TypeError, ArithmeticError) as error:
        raise UserError(f"'{text}': cannot be worked out: {error}") from None


def _value(node: ast.expr, fields: Mapping[str, Value], text: str) -> Value:
    def inner(part: ast.expr) -> Value:
        return _value(part, fields, text)

    match node:
        case ast.Constant(value=int() | float() | str() as value):
            return value
        case ast.Name() | ast.Attribute():
            return _field(ast.unparse(node), fields, text)
        case ast.BinOp(left=left, op=how, right=right) if type(how) in BINARY:
            return BINARY[type(how)](inner(left), inner(right))
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return BINARY[ast.Sub](0, inner(part))
    return _truth(node, inner, text)


def _truth(node: ast.expr, inner: Callable[[ast.expr], Value], text: str) -> bool:
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not inner(part)
        case ast.BoolOp(op=how, values=parts):
            truths = (bool(inner(part)) for part in parts)
            return all(truths) if isinstance(how, ast.And) else any(truths)
        case ast.Compare(left=left, ops=hows, comparators=others) if all(type(how) in COMPARE for how in hows):
            values = [inner(each) for each in (left, *others)]
            return all(COMPARE[type(how)](a, b) for how, a, b in zip(hows, values, values[1:], strict=False))
    allowed = "there are numbers, fields, + - * / // %, comparisons, and, or, not"
    raise UserError(f"'{text}': '{ast.unparse(node)}' is not allowed; {allowed}")


def _field(name: str, fields: Mapping[str, Value], text: str) -> Value:
    if name not in fields:
        raise unknown_name("field", name, fields, f"'{text}'")
    return fields[name]


def typed(text: str) -> Value:
    """A text as an expression sees it: a number or a truth where it is one."""
    words: dict[str, Value] = {"true": True, "false": False, "null": None}
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return words.get(text, text)
