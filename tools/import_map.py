"""Print how the rooms of AURAL depend on each other, from their imports: python tools/import_map.py

It shows the rooms with their floors, the imports between them, import cycles, imports that do not point down,
and the longest file and function. `tests/test_floors.py` asserts what this prints.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]

# A file may import from its own room and from rooms on lower floors.
FLOORS: Mapping[str, int] = {
    "app": 7,
    "aural": 7,  # its __init__: the verbs, each imported when it is called
    "__main__": 7,
    "harp": 7,
    "batch": 6,
    "studio": 5,
    "resynthesis": 4,
    "enhancement": 4,
    "superres": 4,
    "generation": 4,
    "vocoding": 3,
    "loudness": 3,
    "training": 2,
    "evaluation": 2,
    "ui": 2,
    "audio": 1,
    "options": 1,
    "hub": 1,
    "errors": 0,
    "files": 0,
    "version": 0,
}


@dataclass(frozen=True)
class Module:
    """One file."""

    path: Path
    name: str  # full name: "aural.hub.manifest"

    @property
    def room(self) -> str:
        """`hub` for `aural.hub.manifest`; `app` and `aural` for themselves."""
        return self.name.split(".")[1] if "." in self.name else self.name

    @property
    def lines(self) -> int:
        return len(self.path.read_text(encoding="utf-8").splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def imports(self) -> frozenset[str]:
        """Every name that the file imports, at any level: "gradio", "aural.hub", "aural.hub.load"."""
        return frozenset(_imports(self.tree))

    @cached_property
    def strings(self) -> frozenset[str]:
        """Every string in the file."""
        return frozenset(
            node.value
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )

    def functions(self) -> Iterator[tuple[str, int]]:
        """Each function, including nested ones, with its number of lines, including decorators."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                start = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                assert node.end_lineno is not None
                yield node.name, node.end_lineno - start + 1


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(root: Path = ROOT) -> dict[str, Module]:
    """The files of `aural/`, and `app.py`, by name."""
    found = {}
    for path in [root / "app.py", *sorted((root / "aural").rglob("*.py"))]:
        parts = list(path.relative_to(root).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(path, name)
    return found


def arrows(found: Mapping[str, Module]) -> dict[str, set[str]]:
    """File -> the files that it imports."""
    return {name: set(_files(module.imports, found)) - {name} for name, module in found.items()}


def _files(names: Iterable[str], found: Mapping[str, Module]) -> Iterator[str]:
    for name in names:
        home = name.rpartition(".")[0]
        if name in found:
            yield name
        elif home in found:  # a function or class of the module
            yield home


def upward(found: Mapping[str, Module]) -> list[tuple[str, str]]:
    """Imports from a room that is not below: importer, imported."""
    return [
        (name, other)
        for name, others in arrows(found).items()
        for other in sorted(others)
        if found[other].room != found[name].room and FLOORS[found[other].room] >= FLOORS[found[name].room]
    ]


def named(found: Mapping[str, Module]) -> list[tuple[str, str]]:
    """Modules named in strings, alone or as "module:name", for lazy imports: file, module."""
    return [
        (name, home)
        for name, module in found.items()
        for text in sorted(module.strings)
        if (home := text.partition(":")[0]) in found and "." in home
    ]


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of files that import each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[-len(group) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for name in edges:
        if name not in index:
            visit(name)
    return groups


def reached(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    """The files that a file imports, directly or indirectly."""
    seen, waiting = {start}, [start]
    while waiting:
        new = edges[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def main() -> int:
    """Print the map; the exit status is 1 if there is a cycle or an upward import."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    found = modules()
    edges = arrows(found)
    rooms: dict[str, list[Module]] = defaultdict(list)
    for module in found.values():
        rooms[module.room].append(module)
    between: dict[str, Counter[str]] = defaultdict(Counter)
    for name, others in edges.items():
        for other in others:
            if found[other].room != found[name].room:
                between[found[name].room][found[other].room] += 1
    print("floor  room         files   lines  imports from")
    for room in sorted(rooms, key=lambda room: (-FLOORS[room], room)):
        lines = sum(module.lines for module in rooms[room])
        lower = ", ".join(f"{other} ({count})" for other, count in sorted(between[room].items()))
        print(f"{FLOORS[room]:5}  {room:12} {len(rooms[room]):5} {lines:7}  {lower}".rstrip())
    arrow_count = sum(map(len, between.values()))
    print(f"\n{len(rooms)} rooms, {arrow_count} arrows, {len({FLOORS[room] for room in rooms})} floors")
    rings, ups = circles(edges), upward(found)
    print(f"circles between files: {len(rings)}", *(" <-> ".join(ring) for ring in rings), sep="\n  ")
    print(f"imports that point up or sideways: {len(ups)}", *(" -> ".join(pair) for pair in ups), sep="\n  ")
    late = named(found)
    print(f"files named in strings, imported lazily: {len(late)}")
    for (room, other), count in sorted(Counter((found[a].room, found[b].room) for a, b in late).items()):
        print(f"  {room} ... {other} ({count})")
    longest = max(found.values(), key=lambda module: module.lines)
    print(f"longest file: {longest.path.relative_to(ROOT)}, {longest.lines} lines")
    lines, function, home = max(
        (lines, function, module.name) for module in found.values() for function, lines in module.functions()
    )
    print(f"longest function: {home}.{function}, {lines} lines")
    return 1 if rings or ups else 0


if __name__ == "__main__":
    sys.exit(main())
