"""What the import rules cannot see of the rooms: folders that are no packages, and built-in functions that do I/O."""

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "standfast"
PURE_ROOMS = ("cluster", "conf", "fencing", "membership", "resources", "services", "wire")
IMPURE_BUILTINS = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}


def impure_calls(path: Path) -> list[str]:
    """Each call of a built-in function that reads, writes or runs something, as "path:line name"."""
    return [
        f"{path.relative_to(SOURCE)}:{node.lineno} {node.func.id}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS
    ]


def test_pure_rooms_call_no_builtin_that_does_io() -> None:
    modules = (
        path for room in PURE_ROOMS for path in (SOURCE / room).rglob("*.py") if "tests" not in path.parts
    )
    assert [call for path in modules for call in impure_calls(path)] == []


def test_every_folder_with_modules_is_a_package_but_for_tests() -> None:
    folders = {path.parent for path in SOURCE.rglob("*.py")}
    named_tests = {folder for folder in folders if "tests" in folder.relative_to(SOURCE).parts}
    assert (
        sorted(folder.name for folder in folders - named_tests if not (folder / "__init__.py").exists()) == []
    )
    assert sorted(folder.name for folder in named_tests if (folder / "__init__.py").exists()) == []
