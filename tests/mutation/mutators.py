"""Small faults for a module's syntax tree: each one is a change that some test must notice.

Left alone, because no behaviour hangs on them: docstrings, annotations, decorators, imports,
``__all__`` and assertions (they state invariants for the type checker).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_TWINS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_DECLARED = {"annotation", "returns", "decorator_list", "ctx", "bases", "type_params"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: ``parent.field`` (or its element ``index``) becomes ``replacement``.

    Attributes:
        line: in the source. before, after: the change as text.
        replacement: None takes the element out of its list.
    """

    line: int
    before: str
    after: str
    parent: ast.AST
    field: str
    index: int | None
    replacement: ast.AST | None

    def apply(self) -> None:
        """Change the tree for good: one process carries one mutant."""
        if self.index is None:
            setattr(self.parent, self.field, self.replacement)
            return
        elements = getattr(self.parent, self.field)
        if self.replacement is None:
            del elements[self.index]
        else:
            elements[self.index] = self.replacement


def mutants(tree: ast.Module) -> list[Mutant]:
    """Return every mutant of a module, each change once, in the order of the source."""
    found: dict[tuple[int, str, int | None, str], Mutant] = {}
    for mutant in _walk(tree):
        key = (id(mutant.parent), mutant.field, mutant.index, mutant.after)
        if mutant.after != mutant.before:
            found.setdefault(key, mutant)
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _walk(parent: ast.AST, *, inside: bool = False) -> Iterator[Mutant]:
    for field, value in ast.iter_fields(parent):
        if field in _DECLARED:
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _is_left_alone(node, parent):
                continue
            for other in _faults(node, parent, field, inside=inside):
                yield Mutant(
                    getattr(node, "lineno", getattr(parent, "lineno", 0)),
                    _text(node),
                    "(taken out)" if other is None else _text(other),
                    parent,
                    field,
                    index,
                    other,
                )
            if not isinstance(node, ast.JoinedStr):
                yield from _walk(node, inside=inside or isinstance(node, ast.FunctionDef))


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.operator | ast.cmpop | ast.boolop | ast.unaryop):
        return type(node).__name__
    return ast.unparse(ast.fix_missing_locations(node))


def _is_left_alone(node: ast.AST, parent: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Constant(value=None):
            return isinstance(parent, ast.Compare)
    return False


def _faults(
    node: ast.AST, parent: ast.AST, field: str, *, inside: bool
) -> Iterator[ast.AST | None]:
    if isinstance(node, ast.stmt):
        yield from _statement_faults(node, inside=inside)
    elif isinstance(node, ast.expr):
        yield from _expression_faults(node)
        yield from _place_faults(node, parent, field)
    elif isinstance(node, ast.cmpop):
        yield from (other() for other in _COMPARE[type(node)])
    elif isinstance(node, ast.operator):
        yield _ARITHMETIC[type(node)]()
    elif isinstance(node, ast.boolop):
        yield ast.Or() if isinstance(node, ast.And) else ast.And()
    elif isinstance(node, ast.keyword):
        yield None


def _statement_faults(node: ast.stmt, *, inside: bool) -> Iterator[ast.AST | None]:
    match node:
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield _at(ast.Return(ast.Constant(None)), node)
        case ast.Raise() | ast.Expr() | ast.AugAssign() | ast.Delete():
            yield _at(ast.Pass(), node)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield _at(ast.Pass(), node)
        case ast.AnnAssign(target=ast.Attribute() | ast.Subscript()):
            yield _at(ast.Pass(), node)
        case ast.Assign(targets=[ast.Name()], value=value) if inside and not _is_none(value):
            yield _at(ast.Assign(node.targets, ast.Constant(None)), node)
        case ast.Break():
            yield _at(ast.Continue(), node)
        case ast.Continue():
            yield _at(ast.Break(), node)


def _expression_faults(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.Constant():
            yield from (_at(ast.Constant(value), node) for value in _neighbours(node.value))
        case ast.JoinedStr():
            yield _at(ast.JoinedStr([ast.Constant("XX"), *node.values]), node)
        case ast.BoolOp(op, values):
            for left_out in range(len(values)):
                rest = [value for index, value in enumerate(values) if index != left_out]
                yield rest[0] if len(rest) == 1 else _at(ast.BoolOp(op, rest), node)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Dict(keys, values):
            for left_out in range(len(keys)):
                kept = [index for index in range(len(keys)) if index != left_out]
                rest_of = ast.Dict([keys[i] for i in kept], [values[i] for i in kept])
                yield _at(rest_of, node)
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.Call(func=ast.Name(id=name)) if name in _TWINS:
            yield _at(ast.Call(ast.Name(_TWINS[name], ast.Load()), node.args, node.keywords), node)


def _place_faults(node: ast.expr, parent: ast.AST, field: str) -> Iterator[ast.AST | None]:
    """Yield what can go wrong with an expression because of where it stands."""
    match parent:
        case ast.If() if field == "test":
            yield _at(ast.Constant(True), node)
            yield _at(ast.Constant(False), node)
        case ast.While() if field == "test":
            yield _at(ast.Constant(False), node)
        case ast.comprehension() if field == "ifs":
            yield _at(ast.Constant(True), node)
            yield _at(ast.Constant(False), node)
        case ast.Call() if field == "args" and not isinstance(
            node, ast.Constant | ast.JoinedStr | ast.GeneratorExp | ast.Starred
        ):
            yield _at(ast.Constant(None), node)
        case ast.Tuple() | ast.List() | ast.Set() if field == "elts":
            if isinstance(getattr(parent, "ctx", ast.Load()), ast.Load):
                yield None


def _neighbours(value: object) -> list[bool | int | float | str | bytes]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1] if value == 0 else [value + 1, value - 1]
        case float():
            return [value + 1.0, value * 0.5] if value else [1.0]
        case str():
            return ["XX" + value]
        case bytes():
            return [b"XX" + value]
        case None:
            return [""]
    return []


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _at(node: ast.AST, place: ast.AST) -> ast.AST:
    return ast.fix_missing_locations(ast.copy_location(node, place))
