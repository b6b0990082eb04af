"""Arithmetic over the fields of a machine or of a sweep's point, such as `array.rows * array.cols <= 1024`.

A text is parsed once and then worked out for every machine or point. Its length and its depth are bounded, and so is
what comes of every step: numbers that fit `DIGITS`, texts that fit a column.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from workloads.errors import UserError, unknown_name
from workloads.files.limits import DEPTH, DIGITS, EXPRESSION_LETTERS, NAME_LETTERS

Value = int | float | str | bool | None
Fields = Mapping[str, Value]
Formula = Callable[[Fields], Value]
LARGEST = 10**DIGITS
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


def value_of(text: str, fields: Fields) -> Value:
    """The value of an expression: numbers, quoted texts, fields, + - * / // %, comparisons, and, or, not.

    Raises UserError that quotes the expression.
    """
    formula = parsed(text)
    try:
        return formula(fields)
    except (TypeError, ArithmeticError, ValueError) as error:
        raise UserError(f"'{text}': cannot be worked out: {error}") from None


@lru_cache(maxsize=256)
def parsed(text: str) -> Formula:
    """An expression, ready to be worked out. Raises UserError for what is none, or is too long or too deep."""
    if len(text) > EXPRESSION_LETTERS:
        raise UserError(f"'{text[:40]}...': an expression of {len(text):,} letters; {EXPRESSION_LETTERS:,} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on odd texts are no concern of whoever wrote it
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last for too many brackets
        raise UserError(f"'{text}': is no expression; write for example array.rows * array.cols <= 1024") from None
    level: list[ast.AST] = [tree]
    for _ in range(DEPTH):
        level = [inner for each in level for inner in ast.iter_child_nodes(each)]
    if level:
        raise UserError(f"'{text}': is nested too deeply; {DEPTH} levels are read, and each further term is one")
    return _formula(tree, text)


def _formula(node: ast.expr, text: str) -> Formula:
    match node:
        case ast.Constant(value=int() | float() | str() as value):
            return _constant(value, text)
        case ast.Name() | ast.Attribute() if all(isinstance(each, ast.Name | ast.Attribute) for each in _chain(node)):
            return _field(ast.unparse(node), text)
        case ast.BinOp(left=left, op=how, right=right) if type(how) in BINARY:
            return _arithmetic(BINARY[type(how)], _formula(left, text), _formula(right, text))
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return _arithmetic(operator.sub, lambda _: 0, _formula(part, text))
    return _truth(node, text)


def _truth(node: ast.expr, text: str) -> Formula:
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=part):
            inner = _formula(part, text)
            return lambda fields: not inner(fields)
        case ast.BoolOp(op=how, values=parts):
            together = all if isinstance(how, ast.And) else any
            truths = [_formula(each, text) for each in parts]
            return lambda fields: together(bool(each(fields)) for each in truths)
        case ast.Compare(left=left, ops=hows, comparators=others) if all(type(how) in COMPARE for how in hows):
            sides = [_formula(each, text) for each in (left, *others)]
            return _comparison([COMPARE[type(how)] for how in hows], sides)
    allowed = "there are numbers, fields, + - * / // %, comparisons, and, or, not"
    raise UserError(f"'{text}': '{ast.unparse(node)}' is not allowed; {allowed}")


def _chain(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of a dotted name."""
    yield node
    while isinstance(node, ast.Attribute):
        node = node.value
        yield node


def _constant(value: Value, text: str) -> Formula:
    try:
        found = _bounded(value)
    except ArithmeticError as error:
        raise UserError(f"'{text}': cannot be worked out: {error}") from None
    return lambda _: found


def _field(name: str, text: str) -> Formula:
    def formula(fields: Fields) -> Value:
        if name not in fields:
            raise unknown_name("field", name, fields, f"'{text}'")
        return fields[name]

    return formula


def _arithmetic(how: Callable[..., Value], left: Formula, right: Formula) -> Formula:
    def formula(fields: Fields) -> Value:
        first, second = left(fields), right(fields)
        if (isinstance(first, str) or isinstance(second, str)) and how is not operator.add:
            raise TypeError("a text is compared or added to another, nothing else")
        return _bounded(how(first, second))

    return formula


def _comparison(hows: list[Callable[..., bool]], sides: list[Formula]) -> Formula:
    def formula(fields: Fields) -> Value:
        values = [each(fields) for each in sides]
        return all(how(a, b) for how, a, b in zip(hows, values, values[1:], strict=False))

    return formula


def _bounded(value: Value) -> Value:
    """A value as it is. Raises ArithmeticError for one that no field of a machine can have."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ArithmeticError("a number is too large, or none")
    if isinstance(value, int) and not -LARGEST < value < LARGEST:
        raise ArithmeticError(f"a number has more than {DIGITS} digits")
    if isinstance(value, str) and len(value) > NAME_LETTERS:
        raise ArithmeticError(f"a text has more than {NAME_LETTERS} letters")
    return value


def typed(text: str) -> Value:
    """A text as an expression sees it: a number or a truth where it is one; a whole number has `DIGITS` at most."""
    words: dict[str, Value] = {"true": True, "false": False, "null": None}
    for kind in (int, float) if len(text) <= DIGITS else (float,):
        try:
            found = kind(text)
        except ValueError:
            continue
        return found if math.isfinite(found) else text
    return words.get(text, text)
