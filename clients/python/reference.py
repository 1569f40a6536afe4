"""Write docs/reference/python-client.md from the docstrings and signatures, or with ``--check`` say that it is stale.

Reads the sources and imports nothing: what stands in ``whimbrel.client.__all__`` is documented, grouped by its module.
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "reference" / "python-client.md"
SOURCES: Final = (ROOT / "clients" / "python" / "src", ROOT / "libs" / "protocol" / "src")
PACKAGE: Final = "whimbrel.client"
ELSEWHERE: Final = "What these are made of"  # the heading of what comes from modules with few of them
HEADINGS: Final = {
    "whimbrel.client.client": "The client",
    "whimbrel.client.subscription": "Subscriptions",
    "whimbrel.client.blocking": "Without an event loop",
    "whimbrel.client.events": "What a channel and a connection tell",
    "whimbrel.client.errors": "Errors",
}
INTERNAL: Final = frozenset({"delivered", "opened", "ended", "told", "left", "of"})  # called by the client's own shell
ITERATION: Final = {"__anext__": "async for", "__next__": "for"}
WIDTH: Final = 110  # of a signature in one line
HEAD: Final = """\
<!-- Written by `make generate` from clients/python: edit the docstrings there. -->
# API of the Python client

Made from the docstrings and signatures in [`clients/python/src`](../../clients/python/src), which `mypy` checks.
How to use it: [from Python](../how-to/python-client.md).
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Export:
    """A public name, and the statement that defines it."""

    name: str
    module: str
    node: ast.stmt


def parsed(module: str) -> ast.Module:
    """Return the syntax tree of ``module``."""
    below = Path(*module.split("."))
    [path] = [
        path
        for source in SOURCES
        for path in (source / below / "__init__.py", source / below.with_suffix(".py"))
        if path.is_file()
    ]
    return ast.parse(path.read_text(encoding="utf-8"))


def source(node: ast.AST) -> str:
    """Return the code of ``node``, quoted as the formatter does it."""
    return ast.unparse(node).replace("'", '"')


def exports() -> Iterator[Export]:
    """Yield what the package exports, by module, each in the order in which it is defined."""
    origins = imported(parsed(PACKAGE))
    for module in sorted(set(origins.values()), key=lambda module: ((*HEADINGS, module).index(module), module)):
        tree = parsed(module)
        for node in tree.body:
            yield from (Export(name, module, node) for name in defined(node) if origins.get(name) == module)
        for name in imported(tree):  # what a module only passes on
            if origins.get(name) == module:
                yield Export(name, module, definition(name, module))


def definition(name: str, module: str) -> ast.stmt:
    """Return the statement that defines ``name``, wherever ``module`` has it from."""
    tree = parsed(module)
    own = next((node for node in tree.body if name in defined(node)), None)
    return own or definition(name, imported(tree)[name])


def imported(tree: ast.Module) -> Mapping[str, str]:
    """Return where each imported name comes from."""
    nodes = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in nodes if node.module for alias in node.names}


def defined(node: ast.stmt) -> Sequence[str]:
    """Return the names that a statement defines."""
    match node:
        case ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def page() -> str:
    """Return the page as the sources say it now."""
    sections: dict[str, list[str]] = {}
    for export in exports():
        sections.setdefault(HEADINGS.get(export.module, ELSEWHERE), []).append(shown(export))
    tree = inspect.cleandoc(ast.get_docstring(parsed("whimbrel.client.errors")) or "").partition("\n\n")[2]
    sections["Errors"].insert(0, f"```\n{tree}\n```\n")
    return HEAD + "".join(f"\n## {heading}\n\n" + "\n".join(parts) for heading, parts in sections.items())


def shown(export: Export) -> str:
    """Return the part of the page about one name."""
    node = export.node
    if not isinstance(node, ast.ClassDef):
        return f"### {export.name}\n\n```python\n{source(node)}\n```\n"
    bases = ", ".join(source(base) for base in node.bases if not source(base).startswith("_"))
    text = f"### {node.name}\n\n`class {node.name}{f'({bases})' if bases else ''}`\n\n{told(node)}"
    fields = [*attributes(node)]
    text += "\n```python\n" + "\n".join(fields) + "\n```\n" if fields else ""
    members = [member(node.name, each) for each in methods(node, export.module)]
    return text + "".join(f"\n{each}" for each in members)


def attributes(node: ast.ClassDef) -> Iterator[str]:
    """Yield the public attributes: of the class, and of an exception those that it is made with."""
    for each, following in zip(node.body, [*node.body[1:], None], strict=True):
        is_data = isinstance(each, ast.AnnAssign | ast.Assign) and waited_for(each, {}) is None
        if is_data and not defined(each)[0].startswith(("_", "model_config")):
            match following:
                case ast.Expr(ast.Constant(str() as text)):
                    line, said = source(each), f"# {' '.join(text.split())}"
                    yield f"{line}  {said}" if len(line) + len(said) < WIDTH else f"{said}\n{line}"
                case _:
                    yield source(each)
        if not isinstance(each, ast.FunctionDef) or each.name != "__init__" or ast.get_docstring(each):
            continue
        arguments = {one.arg: one.annotation for one in (*each.args.args, *each.args.kwonlyargs)}
        for assignment in each.body:
            match assignment:
                case ast.Assign(targets=[ast.Attribute(attr=name)]) if annotation := arguments.get(name):
                    yield f"{name}: {source(annotation)}"


def methods(node: ast.ClassDef, module: str) -> Iterator[Function]:
    """Yield what an application calls; what stands in a private class above belongs to this one."""
    above = {source(base).partition("[")[0] for base in node.bases if source(base).startswith("_")}
    tree = parsed(module)
    for other in tree.body if above else ():
        if isinstance(other, ast.ClassDef) and other.name in above:
            yield from methods(other, module)
    for each in (waited_for(statement, imported(tree)) or statement for statement in node.body):
        if not isinstance(each, Function) or each.name in INTERNAL or ast.get_docstring(each) is None:
            continue
        if not each.name.startswith("_") or each.name in ITERATION or each.name == "__init__":
            yield each


def waited_for(node: ast.stmt, origins: Mapping[str, str]) -> ast.stmt | None:
    """Return the method that ``name = waiting(Class.name)`` makes: as the one of the class, without `await`; else None.

    Without ``origins`` it says only whether it is one.
    """
    match node:
        case ast.Assign(
            value=ast.Call(func=ast.Name(id="waiting"), args=[ast.Attribute(ast.Name(id=owner), attr=name)])
        ):
            if owner not in origins:
                return node
            of = definition(owner, origins[owner])
            assert isinstance(of, ast.ClassDef)
            [method] = [each for each in of.body if isinstance(each, ast.AsyncFunctionDef) and each.name == name]
            return ast.FunctionDef(**{field: getattr(method, field) for field in method._fields})
        case _:
            return None


def member(owner: str, node: Function) -> str:
    """Return signature and docstring of a method."""
    decorators = {source(each) for each in node.decorator_list}
    returns = f" -> {source(node.returns)}".replace('"', "") if node.returns and node.name != "__init__" else ""
    if node.name in ITERATION:
        return f"```python\n{ITERATION[node.name]} publication in …\n```\n{told(node)}"
    if "property" in decorators:
        return f"```python\n{node.name}{returns.replace(' ->', ':')}\n```\n{told(node)}"
    arguments = parameters(node.args)
    name = owner if node.name == "__init__" else node.name
    is_awaited = isinstance(node, ast.AsyncFunctionDef) and "AsyncIterator" not in returns
    prefix = "await " if is_awaited else ""
    line = f"{prefix}{name}({', '.join(arguments)}){returns}"
    if len(line) > WIDTH:
        line = f"{prefix}{name}(\n" + "".join(f"    {each},\n" for each in arguments) + f"){returns}"
    return f"```python\n{line}\n```\n{told(node)}"


def parameters(arguments: ast.arguments) -> Sequence[str]:
    """Return each parameter as it is written, without the first: the object itself."""
    own = arguments.args[1:]
    defaults = [None] * (len(own) - len(arguments.defaults)) + [*arguments.defaults]
    return [
        *(parameter(each, default) for each, default in zip(own, defaults, strict=True)),
        *(["*"] if arguments.kwonlyargs else []),
        *(parameter(each, default) for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)),
    ]


def parameter(argument: ast.arg, default: ast.expr | None) -> str:
    """Return one parameter with its type, and what it is where nothing is given."""
    text = f"{argument.arg}: {source(argument.annotation)}" if argument.annotation else argument.arg
    return text if default is None else f"{text} = {source(default)}"


def told(node: ast.ClassDef | Function) -> str:
    """Return the docstring as Markdown."""
    text = inspect.cleandoc(ast.get_docstring(node) or "").replace("``", "`")
    return f"{text}\n" if text else ""


def main() -> int:
    """Return 1 when ``--check`` found the page stale, else 0."""
    text = page()
    if sys.argv[1:] == ["--check"]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            print(f"{PAGE.relative_to(ROOT)} is not what the docstrings say now: run `make generate`", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
