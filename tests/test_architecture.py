"""The direction of imports, and what is public."""

import ast
import inspect
import pathlib
import re

import keras_noisy_student as kns

PACKAGE = pathlib.Path(kns.__file__).parent
# From the top down: a module may import from its own row and from those below it.
ROWS = [
    ["__init__"],
    ["beam", "recipes"],
    ["trainer"],
    ["round_steps"],
    ["report_step"],
    ["pseudo_label_steps"],
    ["promoted_student", "student_builder", "epoch_checkpointing", "last_teachers", "annotation_checks"],
    ["compile_arguments"],
    ["student"],
    ["run_directory", "callback_state", "report"],
    ["tensorboard_rounds"],
    ["averaged_weights", "distributed_model", "non_finite", "optimizers", "serving", "history", "round_summary"],
    ["round_corrections", "students", "video"],
    ["networks", "run_data", "round_settings", "relabeling", "promotion", "freezing"],
    ["data_checks"],
    ["pipeline"],
    ["length_buckets"],
    ["joint_batch"],
    ["pseudo_labels"],
    ["sources", "evaluation"],
    ["given_data", "noise", "speech", "tasks"],
    ["argument_checks", "storage", "interruption", "workers", "_version", "fine_tuning", "constructor_calls"],
]
ROOM_OF_ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}


def test_every_module_stands_in_a_row():
    rooms = {_room(path) for path in PACKAGE.rglob("*.py")}
    assert rooms == set(ROOM_OF_ROW)


def test_imports_go_down_only():
    upwards = [
        f"{path.relative_to(PACKAGE)} imports {imported}"
        for path in PACKAGE.rglob("*.py")
        for imported in _imported_rooms(path)
        if ROOM_OF_ROW[imported] < ROOM_OF_ROW[_room(path)]
    ]
    assert upwards == []


def test_there_are_no_import_cycles():
    edges = {_module(path): _imported_modules(path) for path in PACKAGE.rglob("*.py")}
    while leaves := [module for module, imports in edges.items() if not imports & edges.keys()]:
        for module in leaves:
            del edges[module]
    assert edges == {}


def test_nothing_is_read_that_could_run_code():
    dangerous = ("pickle", "marshal", "shelve", "eval(", "exec(", "unsafe", "safe_mode=False", "load_model", "Lambda(")
    found = [
        f"{path.relative_to(PACKAGE)}: {word}"
        for path in PACKAGE.rglob("*.py")
        for word in dangerous
        if word in path.read_text()
    ]
    assert found == []


def test_importing_the_package_asks_nothing_of_the_private_part_of_keras():
    private = re.compile(r"^\s*(from|import) keras\.src", re.MULTILINE)
    assert [path.name for path in PACKAGE.rglob("*.py") if private.search(path.read_text())] == []


def test_public_names_are_those_that_are_listed():
    public = {name for name, value in vars(kns).items() if not name.startswith("_") and not inspect.ismodule(value)}
    modules = {name for name in kns.__all__ if inspect.ismodule(getattr(kns, name))}
    assert sorted(public | modules | {"__version__"}) == sorted(kns.__all__)


def test_public_functions_take_at_most_seven_keyword_only_arguments():
    for name in kns.__all__:
        value = getattr(kns, name)
        methods = (
            [value] if inspect.isfunction(value) else [m for _, m in inspect.getmembers(value, inspect.isfunction)]
        )
        for function in methods:
            if function.__module__.startswith("keras_noisy_student"):
                kinds = [p.kind for p in inspect.signature(function).parameters.values()]
                assert kinds.count(inspect.Parameter.KEYWORD_ONLY) <= 7, f"{name}.{function.__name__}"


def _room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _module(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def _imported_modules(path):
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    modules = set()
    for node in nodes:
        if node.module and node.module.startswith("keras_noisy_student"):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            existing = {
                module
                for module in submodules
                for path in [PACKAGE.parent / module.replace(".", "/")]
                if path.is_dir() or path.with_suffix(".py").exists()
            }
            modules |= existing or {node.module}
    return modules


def _imported_rooms(path):
    return {module.split(".")[1] for module in _imported_modules(path) if "." in module}
