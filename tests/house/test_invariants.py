"""The rules of ARCHITECTURE.md that the source must keep."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import runfmt
import runfmt_sync
from runfmt import errors, layout

PROJECT = Path(__file__).parents[2]
CLIENT, TOOL = Path(runfmt.__file__).parent, Path(runfmt_sync.__file__).parent
NAMES = {"run.json", "config.json", "summary.json", "edits.json", ".lock", ".cache"} | {
    layout.stream_name(kind) for kind in ("metrics", "events", "system", "console")
}
NETWORK = {"asyncio", "ftplib", "http", "requests", "smtplib", "socket", "socketserver", "ssl", "urllib"}


def sources(*folders: Path) -> Iterator[tuple[Path, ast.Module]]:
    """The Python files below the folders, parsed."""
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield path, ast.parse(path.read_text())


def imports(tree: ast.AST) -> set[str]:
    """The full names of the modules that are imported anywhere."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def calls(tree: ast.AST) -> Iterator[str]:
    """The calls, as source text."""
    return (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def loaded(code: str, cwd: Path) -> set[str]:
    """The third-party packages that a fresh process has loaded after the code."""
    report = (
        "import sys; before = set(sys.modules)\n"
        f"{code}\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-c", report], cwd=cwd, check=True, capture_output=True, text=True)
    return set(done.stdout.split("\n")[-2].split())


def test_import_loads_only_orjson(tmp_path):
    assert loaded("import runfmt", tmp_path) == {"runfmt", "orjson"}


def test_run_of_plain_numbers_loads_only_the_samplers(tmp_path):
    code = "import runfmt; runfmt.init(); runfmt.log({'a': 1, 'b': {'c': 0.5}}); runfmt.finish(quiet=True)"
    assert loaded(code, tmp_path) - {"runfmt", "orjson"} <= {"psutil", "pynvml"}


def test_client_never_imports_the_tool():
    for path, tree in sources(CLIENT):
        assert not {name for name in imports(tree) if name.split(".")[0] == "runfmt_sync"}, path


def test_client_imports_nothing_that_talks_to_a_network():
    for path, tree in sources(CLIENT):
        found = {name for name in imports(tree) if name.split(".")[0] in NETWORK}
        assert found <= {"urllib.parse"} | {n for n in found if n.startswith("urllib.parse.")}, path


def test_run_opens_no_socket(tmp_path):
    code = """
import sys
sys.addaudithook(lambda event, _: event.startswith("socket.") and sys.exit(f"{event} was called"))
import runfmt
assert runfmt.login()
with runfmt.init(project="p") as run:
    run.log({"loss": 1.0, "page": runfmt.Html("<img src='https://example.invalid/x.png'>")})
    run.log({"table": runfmt.Table(columns=["a"], data=[[1]])})
    run.alert("done")
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_file_names_are_written_in_layout_only():
    for path, tree in sources(CLIENT, TOOL):
        literals = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert path.name == "layout.py" or not literals & NAMES, path


def test_one_module_appends_and_one_replaces():
    opening = r"""(^|[^s])\.?open\(.*(['"][rbt]*[wax][rbt+]*['"]|O_WRONLY|O_RDWR)"""
    writing = re.compile(opening + r"|\.write_(text|bytes)\(|os\.write\(")
    renaming = re.compile(
        r"^(os\.(replace|rename|link|symlink)|shutil\.)|\.(rename|symlink_to|hardlink_to)\("
    )
    found = {
        (path.name, bool(renaming.search(call)))
        for path, tree in sources(CLIENT)
        for call in calls(tree)
        if writing.search(call) or renaming.search(call)
    }
    assert found == {("stream.py", False), ("documents.py", False), ("documents.py", True)}


def test_tool_never_writes_with_the_clients_stream():
    for path, tree in sources(TOOL):
        assert "runfmt.stream" not in imports(tree) or path.name == "recover.py", path


def test_all_names_the_public_names():
    public = {
        name
        for name, value in vars(runfmt).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public <= set(runfmt.__all__)
    assert len(set(runfmt.__all__)) == len(runfmt.__all__)
    for name in runfmt.__all__:
        getattr(runfmt, name)


def modules() -> list[ModuleType]:
    """All modules of both packages, imported."""
    names = [
        module.name
        for package in (runfmt, runfmt_sync)
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]
    return [importlib.import_module(name) for name in names]


def test_modules_say_what_is_public():
    for module in modules():
        assert module.__doc__, module
        for name in module.__all__:
            value = getattr(module, name)
            assert value.__doc__ or not inspect.isfunction(value), (module, name)


def test_no_function_is_over_60_lines():
    folders = [CLIENT, TOOL, *(PROJECT / name for name in ("examples", "benchmarks", "tests", "spec"))]
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in sources(*folders)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert long == []


def test_server_of_the_examples_is_short_and_needs_nothing_but_python():
    """It shows how little a remote takes to write."""
    path = PROJECT / "examples" / "remote_server.py"
    assert len(path.read_text().splitlines()) <= 188
    assert {name.split(".")[0] for name in imports(ast.parse(path.read_text()))} <= sys.stdlib_module_names


def test_nothing_is_swallowed():
    for path, tree in sources(CLIENT, TOOL):
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and all(isinstance(part, ast.Pass) for part in node.body):
                kinds = ast.unparse(node.type) if node.type else "everything"
                assert kinds not in ("everything", "Exception", "BaseException"), (path, node.lineno)


def error_classes() -> list[type[Exception]]:
    """Our errors, from whichever module."""
    modules()
    found: list[type[Exception]] = []
    waiting: list[type[Exception]] = [errors.Error]
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].__subclasses__()
    return found


def test_errors_cross_processes():
    for kind in error_classes():
        _, *parameters = inspect.signature(kind.__init__).parameters.values()
        needed = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        error = kind(*(f"text {index}" for index in range(max(len(needed), 1))))
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))
