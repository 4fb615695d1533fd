"""How the project is laid out: what may import what, what a wheel holds, where an import works."""

import ast
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile

import pytest

from r21d_keras import __version__

ROOT = pathlib.Path(__file__).parent.parent  # not resolved: Bazel shows the checkout as links
PACKAGES = ("r21d_keras", "zoo", "training")  # each may import those before it, never one after
ONLY_ALLOWED = {  # the other top-level modules that a package may import; None: any
    "r21d_keras": {"keras", "numpy", "wrapt"},
    "zoo": {"keras", "numpy", "h5py", "requests", "tqdm", "filelock"},
    "training": None,
}
IN_FUNCTIONS_ALONE = {  # what a file may import where it is used, and the rest does without
    "zoo/plot.py": {"matplotlib"},
    "zoo/plot_labels.py": {"matplotlib"},
}
MAX_LINES = 300
SOURCES = sorted(
    path
    for folder in (*PACKAGES, "tests", "benchmarks", "tools")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """The modules that a file imports, at its top or later, with the project's own in full."""
    package = name_of(path.parent).replace("/", ".")
    if package.split(".")[0] in PACKAGES[1:]:
        package = f"r21d_keras.{package}"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            module = ".".join(
                [*(above if node.level else []), *([node.module] * bool(node.module))]
            )
            # `from r21d_keras import zoo` is an import of r21d_keras.zoo.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part_of(module):
    """The package of ours that a full module name lies in, or None."""
    match module.split("."):
        case ["r21d_keras", ("zoo" | "training") as part, *_]:
            return part
        case ["r21d_keras", *_]:
            return "r21d_keras"
    return None


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_follow_the_arrow(package):
    later = PACKAGES[PACKAGES.index(package) + 1 :]
    allowed = ONLY_ALLOWED[package]
    for path in SOURCES:
        if name_of(path).split("/")[0] != package:
            continue
        for module in imports(path):
            top = module.split(".")[0]
            assert top not in ("tests", "benchmarks"), f"{name_of(path)} imports {module}"
            assert part_of(module) not in later, f"{name_of(path)} imports {module}"
            if allowed is not None and top not in sys.stdlib_module_names | {"r21d_keras"}:
                optional = IN_FUNCTIONS_ALONE.get(name_of(path), set())
                assert top in allowed | optional, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("name", IN_FUNCTIONS_ALONE)
def test_optional_libraries_are_imported_in_functions_alone(name):
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    at_once = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {getattr(node, "module", None) or node.names[0].name for node in at_once}
    assert not {module.split(".")[0] for module in found} & IN_FUNCTIONS_ALONE[name]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_module_has_one_name(path):
    """`import zoo` would work from the root, and make second copies of registered classes."""
    assert not {"zoo", "training"} & {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_bazel_knows_every_file():
    build = ast.parse((ROOT / "BUILD").read_text(encoding="utf-8"))  # Starlark in Python's syntax
    globs = [
        [pattern.value for pattern in call.args[0].elts]
        for call in ast.walk(build)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "glob"
    ]
    patterns = {pattern for found in globs for pattern in found if pattern.endswith("*.py")}
    strings = {node.value for node in ast.walk(build) if isinstance(node, ast.Constant)}
    for path in map(name_of, SOURCES):
        known = path in strings or any(
            fnmatch.fnmatch(path, pattern) and path.count("/") == pattern.count("/")
            for pattern in patterns - {"*/*.py"}
        )
        assert known, f"no glob and no name in BUILD takes {path}"


def test_one_version_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    module = (ROOT / "MODULE.bazel").read_text(encoding="utf-8")
    assert re.search(r"^## (\d\S*)", changes, re.MULTILINE)[1] == __version__
    assert re.search(r'^    version = "(.*)"', module, re.MULTILINE)[1] == __version__


def test_every_folder_of_python_is_packaged():
    """A subfolder is in a wheel only if pyproject.toml maps it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    mapped = set(project["tool"]["setuptools"]["package-dir"].values())
    folders = {path.parent.relative_to(ROOT).as_posix() for path in SOURCES}
    assert {folder for folder in folders if folder.split("/")[0] in PACKAGES} == mapped


def test_no_file_names_a_place_on_one_machine():
    places = re.compile(r"(?<![\w.])/(?:home/\w|root/|Users/\w|mnt/\w|work/\w)")
    suffixes = {".py", ".md", ".toml", ".txt", ".json", ".bazel", ""}
    tops = [path for path in ROOT.glob("*") if path.is_file()] + [ROOT / ".ci" / "run"]
    folders = (*PACKAGES, "tests", "benchmarks", "docs", "examples", "tools", "stacks")
    below = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    for path in tops + below:
        if path.is_file() and path.suffix in suffixes and path != ROOT / "tests/test_layout.py":
            assert not places.search(path.read_text(encoding="utf-8")), name_of(path)


IMPORT = """
import importlib.util, pathlib, sys
import r21d_keras
from r21d_keras import training, zoo
assert r21d_keras.VideoResNet and r21d_keras.__version__ == sys.argv[1]
assert [m.__name__ for m in (zoo, training)] == ["r21d_keras.zoo", "r21d_keras.training"]
folder = pathlib.Path(sys.argv[2]).resolve()
for module in (r21d_keras, zoo, training):
    assert folder in pathlib.Path(module.__file__).resolve().parents, module.__file__
assert sys.argv[3] == "checkout" or not any(map(importlib.util.find_spec, ("zoo", "training")))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what a build reads, so that it leaves nothing behind."""
    folder = tmp_path_factory.mktemp("checkout")
    skip = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def environment(tmp_path):
    """A new virtual environment that sees what is installed here, without r21d_keras itself."""
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    here = [entry for entry in sys.path if entry.endswith("site-packages")]
    (site / "parent.pth").write_text("\n".join(here))
    return tmp_path / "venv", site


def run(*command):
    """A process that sees the environments' packages alone, wherever the tests themselves run."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(part) for part in command]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def pip(python, *arguments):
    options = ["--disable-pip-version-check", "--no-input", "--python", python]
    alone = ["--no-deps", "--no-index", "--no-build-isolation", "--no-cache-dir"]
    run(sys.executable, "-m", "pip", *options, *arguments, *alone)


def check_import(python, folder, kind="installed"):
    run(python, "-I", "-c", IMPORT, __version__, folder, kind)  # -I: not from this folder either


def test_wheel_holds_one_top_level_name_and_imports(checkout, environment, tmp_path):
    pip(sys.executable, "wheel", checkout, "-w", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"r21d_keras", f"r21d_keras-{__version__}.dist-info"}
    for package in PACKAGES:
        inside = "r21d_keras" if package == "r21d_keras" else f"r21d_keras/{package}"
        files = [*(ROOT / package).rglob("*.py"), *(ROOT / package).glob("labels_*.txt")]
        wanted = {f"{inside}/{path.relative_to(ROOT / package).as_posix()}" for path in files}
        assert wanted <= set(names)
    assert {"r21d_keras/py.typed", f"r21d_keras-{__version__}.dist-info/licenses/LICENSE"} <= set(
        names
    )
    folder, site = environment
    pip(folder / "bin" / "python", "install", wheel)
    check_import(folder / "bin" / "python", site)


def test_installed_from_the_checkout(checkout, environment):
    folder, site = environment
    pip(folder / "bin" / "python", "install", checkout)
    check_import(folder / "bin" / "python", site)
    assert (folder / "bin" / "r21d").exists()


def test_editable(checkout, environment):
    folder, _ = environment
    pip(folder / "bin" / "python", "install", "-e", checkout)
    check_import(folder / "bin" / "python", checkout)


def test_bare_checkout(checkout, environment):
    folder, site = environment
    (site / "checkout.pth").write_text(str(checkout))  # as a PYTHONPATH would
    check_import(folder / "bin" / "python", checkout, kind="checkout")
