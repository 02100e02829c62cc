"""A normalised walk of the syntax tree, and the names that a piece of code takes from outside itself.

The walk is our own, never ``ast.dump``, so that it is equal on every Python. It holds no positions, comments,
docstrings or other statements that are only a string, and no annotations of parameters, results and local
variables: none of these change a value. Annotations in the body of a class stay, as dataclasses live by them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from featurestore.repository.canonical import canonical, pack

__all__ = ["REGISTERING", "Import", "Reference", "dotted", "references", "walk"]

REGISTERING = frozenset({"register_feature", "on_demand_feature_view"})
"""Decorators that register. They change no value, so `owner=` or `tags=` must not change the identity."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LEFT_OUT = frozenset({"annotation", "returns", "type_comment", "kind", "ctx"})


def dotted(node: ast.expr) -> tuple[str, ...]:
    """Return the parts of ``a.b.c``; nothing for any other expression.

    Example:
        >>> dotted(ast.parse("pl.col.x", mode="eval").body)
        ('pl', 'col', 'x')
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


def decorators_kept(node: Definition) -> list[ast.expr]:
    """Return the decorators of a definition without those that register."""
    return [each for each in node.decorator_list if not _registers(each)]


def _registers(decorator: ast.expr) -> bool:
    name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return bool(name) and name[-1] in REGISTERING


def _is_text(statement: ast.AST) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def walk(node: ast.AST) -> bytes:
    """Return what a piece of code says, as bytes.

    Example:
        >>> walk(ast.parse("x = (1)  # one")) == walk(ast.parse("x=1"))
        True
        >>> walk(ast.parse("x = 1.0")) == walk(ast.parse("x = 1"))
        False
    """
    return _walk(node, in_class=False)


def _walk(node: ast.AST, *, in_class: bool) -> bytes:
    match node:
        case ast.Constant(value=constant):
            return pack("Constant", canonical(constant))
        case ast.JoinedStr(values=pieces):
            return pack("JoinedStr", *_formatted(pieces))
        case ast.AnnAssign(target=target, value=ast.expr() as assigned) if not in_class:
            return _walk(ast.Assign(targets=[target], value=assigned), in_class=False)
    if isinstance(node, _DEFINITIONS):
        in_class = isinstance(node, ast.ClassDef)
    elif isinstance(node, ast.Lambda):
        in_class = False
    parts: list[bytes] = []
    for name, value in _fields(node, in_class=in_class):
        parts += [name.encode(), _field(value, in_class=in_class)]
    return pack(type(node).__name__, *parts)


def _fields(node: ast.AST, *, in_class: bool) -> Iterator[tuple[str, object]]:
    """Yield the fields that say something, in the order of their names: Pythons may add and move fields."""
    keeps_annotation = in_class and isinstance(node, ast.AnnAssign)
    for name in sorted(node._fields):
        value = getattr(node, name, None)
        if name in _LEFT_OUT and not (keeps_annotation and name == "annotation"):
            continue
        if name == "type_params" and isinstance(node, _FUNCTIONS):
            continue  # they serve annotations only
        if name == "decorator_list" and isinstance(node, _DEFINITIONS):
            value = decorators_kept(node)
        if isinstance(value, list):
            value = [each for each in value if not _is_text(each)]
        if value is not None and value != []:
            yield name, value


def _field(value: object, *, in_class: bool) -> bytes:
    if isinstance(value, ast.AST):
        return _walk(value, in_class=in_class)
    if isinstance(value, list):
        return pack("list", *(_field(each, in_class=in_class) for each in value))
    return canonical(value)  # an identifier, a number, or a gap in a list, such as the key of `**rest`


def _formatted(values: Iterable[ast.expr]) -> Iterator[bytes]:
    """Join neighbouring pieces of text: Pythons differ in how they cut them."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            text += value.value
            continue
        if text:
            yield canonical(text)
        text = ""
        yield _walk(value, in_class=False)
    if text:
        yield canonical(text)


@dataclass(frozen=True, slots=True)
class Import:
    """A name that an import inside the code binds."""

    module: str
    name: str = ""
    """The name taken from the module; empty when it is the module itself."""
    level: int = 0
    """Number of leading dots of a relative import."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A name from outside, with the attributes that are read from it."""

    root: str
    attributes: tuple[str, ...] = ()
    imported: Import | None = None
    """Set where the code itself imports the name; a global or a variable of an enclosing function otherwise."""

    def __str__(self) -> str:
        return ".".join((self.root, *self.attributes))


def references(node: ast.AST) -> tuple[Reference, ...]:
    """Return what a definition takes from outside, in the order of first use.

    Example:
        >>> [str(each) for each in references(ast.parse("lambda x: x + limit + m.f(x)", mode="eval").body)]
        ['limit', 'm.f']
    """
    collector = _References()
    collector.visit(node)
    return tuple(collector.found)


class _Scope:
    """The names that one function, class or comprehension binds."""

    def __init__(self, *, is_class: bool = False) -> None:
        self.is_class = is_class
        self.bound: set[str] = set()
        self.elsewhere: set[str] = set()
        """Names declared global or nonlocal."""
        self.imports: dict[str, Import] = {}

    def bind(self, statements: Iterable[ast.AST]) -> None:
        for statement in statements:
            self._bind(statement, inside_comprehension=False)
        self.bound -= self.elsewhere

    def _bind(self, node: ast.AST, *, inside_comprehension: bool) -> None:
        if isinstance(node, _DEFINITIONS):
            self.bound.add(node.name)
            return
        if isinstance(node, ast.Lambda):
            return
        if isinstance(node, ast.NamedExpr):  # binds in the function around, also from within a comprehension
            self.bound.add(node.target.id)
        elif not inside_comprehension:
            self._bind_here(node)
        inside_comprehension = inside_comprehension or isinstance(node, _COMPREHENSIONS)
        for child in ast.iter_child_nodes(node):
            self._bind(child, inside_comprehension=inside_comprehension)

    def _bind_here(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                self.bound.add(name)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                self.elsewhere.update(names)
            case ast.Import(names=aliases):
                for alias in aliases:
                    self._import(alias.asname or alias.name.partition(".")[0], _plain_import(alias))
            case ast.ImportFrom(names=aliases):
                for alias in aliases:
                    self._import(alias.asname or alias.name, Import(node.module or "", alias.name, node.level))
            case ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name):
                self.bound.add(name)
            case ast.MatchStar(name=str() as name) | ast.MatchMapping(rest=str() as name):
                self.bound.add(name)

    def _import(self, name: str, imported: Import) -> None:
        self.bound.add(name)
        self.imports[name] = imported


def _plain_import(alias: ast.alias) -> Import:
    # `import a.b` binds `a`; that `a.b` gets loaded by it is what the attributes lead to.
    return Import(alias.name if alias.asname else alias.name.partition(".")[0])


class _References(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: dict[Reference, None] = {}
        self._scopes: list[_Scope] = []

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._note((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if name := dotted(node):
            self._note(name)
        else:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all(decorators_kept(node))
        self._function(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node.args, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all([*decorators_kept(node), *node.bases, *node.keywords])
        scope = _Scope(is_class=True)
        scope.bind(node.body)
        self._inside(scope, node.body)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if self._scopes and self._scopes[-1].is_class:
            self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)

    def visit_ListComp(self, node: Comprehension) -> None:
        first, *others = node.generators
        self.visit(first.iter)  # evaluated outside
        scope = _Scope()
        scope.bind(each.target for each in node.generators)
        inner: list[ast.AST] = [first.target, *first.ifs]
        for each in others:
            inner += [each.iter, each.target, *each.ifs]
        inner += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._inside(scope, inner)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp  # noqa: N815

    def _function(self, arguments: ast.arguments, body: Iterable[ast.AST]) -> None:
        body = list(body)
        self._visit_all([*arguments.defaults, *(each for each in arguments.kw_defaults if each is not None)])
        scope = _Scope()
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        scope.bound.update(each.arg for each in named if each is not None)
        scope.bind(body)
        self._inside(scope, body)

    def _inside(self, scope: _Scope, nodes: Iterable[ast.AST]) -> None:
        self._scopes.append(scope)
        self._visit_all(nodes)
        self._scopes.pop()

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _note(self, name: tuple[str, ...]) -> None:
        root, *attributes = name
        for scope in reversed(self._scopes):
            if scope.is_class and scope is not self._scopes[-1]:
                continue  # the body of a class lends its names to nobody
            if root in scope.elsewhere:
                break
            if root in scope.bound:
                if (imported := scope.imports.get(root)) is not None:
                    self.found[Reference(root, tuple(attributes), imported)] = None
                return
        else:
            self.found[Reference(root, tuple(attributes))] = None
            return
        self._note_elsewhere(root, tuple(attributes))

    def _note_elsewhere(self, root: str, attributes: tuple[str, ...]) -> None:
        """Note a name that was declared global or nonlocal, unless a function around binds it."""
        outer = [scope for scope in self._scopes if not scope.is_class and root in scope.bound]
        if not outer:
            self.found[Reference(root, attributes)] = None
