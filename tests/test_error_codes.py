"""Every code of an error has its entry in docs/errors.md, and every entry is still used."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FINDING = re.compile(r"I\d\d")  # what is wrong in a cluster.conf, such as I42


def codes_in_expression(expression: ast.expr) -> Iterator[str]:
    """The texts that an expression such as `"one"` or `"one" if x else "two"` can be."""
    if isinstance(expression, ast.IfExp):
        yield from codes_in_expression(expression.body)
        yield from codes_in_expression(expression.orelse)
    elif isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        yield expression.value


def codes_in_module(source: str) -> Iterator[str]:
    """The values of all `code=` arguments that are written out, and all codes of findings that are arguments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from codes_in_expression(keyword.value)
            for argument in node.args:
                yield from (code for code in codes_in_expression(argument) if FINDING.fullmatch(code))


def codes_in_page(page: str) -> list[str]:
    """The first cells, without backquotes, of the rows of all tables whose first column is "code"."""
    codes: list[str] = []
    in_table = False
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            in_table = False
        elif cells[0] == "code":
            in_table = True
        elif in_table and set(cells[0]) != {"-"}:
            codes.append(cells[0].strip("`"))
    return codes


def used_codes() -> set[str]:
    """All codes in our sources, tests left out."""
    modules = (path for path in (ROOT / "src").rglob("*.py") if "tests" not in path.parts)
    return {code for path in modules for code in codes_in_module(path.read_text(encoding="utf-8"))}


def documented_codes() -> list[str]:
    """All codes of docs/errors.md, in its order."""
    return codes_in_page((ROOT / "docs/errors.md").read_text(encoding="utf-8"))


def test_every_code_used_is_documented() -> None:
    assert sorted(used_codes() - set(documented_codes())) == []


def test_every_code_documented_is_used() -> None:
    assert sorted(set(documented_codes()) - used_codes()) == []


def test_no_code_is_documented_twice_and_they_are_in_order() -> None:
    in_order = sorted(set(documented_codes()), key=lambda code: (bool(FINDING.fullmatch(code)), code))
    assert documented_codes() == in_order


def test_both_readers_see_every_form_of_a_code() -> None:
    source = (
        'raise E("x", code="plain")\nF(code="one" if x else "two")\nG(code=row["key"])\nh(3, "I42", "t")\n'
    )
    page = "| other | code |\n|---|---|\n| `no` | x |\n\n| code | meaning |\n|---|---|\n| `a-b` | m |\n\n| `c` | m |\n"
    assert (sorted(codes_in_module(source)), codes_in_page(page)) == (["I42", "one", "plain", "two"], ["a-b"])
