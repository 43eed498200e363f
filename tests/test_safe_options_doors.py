"""Every place in the installed fairseq where a text could become a program, against our tables.

A place that they do not know fails a test here. fairseq's examples/ are left out: nothing imports
them unless a user names them as --user-dir.
"""

import ast
import importlib
import sys
import warnings
from pathlib import Path

import fairseq
import fairseq_cli
import pytest
import torch
from commands import CHECKOUT, run

import teaforn_fairseq  # noqa: F401
from teaforn_fairseq.fairseq_fixes.evaluated_options import COMMANDS, EVALUATED, READERS
from teaforn_fairseq.fairseq_fixes.literals import NotALiteral
from teaforn_fairseq.fairseq_fixes.side_doors import LOADERS

RUNS = ("eval", "exec", "compile", "__import__")
BY_FAIRSEQ_UTILS = ("eval_str_list", "eval_str_dict", "eval_bool")
# fairseq's own modules, by call: with what it takes to get there.
KNOWN = {
    # checkpoint_utils: safe_loading; distributed.utils: from the other ranks of one training
    "torch.load": {*LOADERS, "fairseq.checkpoint_utils", "fairseq.distributed.utils"},
    "pickle.load": set(),
    "pickle.loads": {"fairseq.distributed.utils"},  # from the other ranks of one training
    "torch.hub.load": {"fairseq.models.speech_to_text.hub_interface"},  # predict() from Python
    "yaml.load": {"fairseq.data.audio.data_cfg"},  # FullLoader, a file of the data folder
    "os.system": set(),
    "subprocess.call": {"fairseq.tasks.audio_pretraining"},  # after a save of the user's training
    "subprocess.Popen": {"fairseq.data.plasma_utils"},  # of the user's own fairseq-train
    "subprocess.check_output": {
        "fairseq.data.fasta_dataset",  # side_doors
        "fairseq.distributed.utils",  # SLURM's variables
    },
    "utils.import_user_module": {
        *("fairseq.hub_utils", "fairseq.options"),  # given by the caller
        *(f"fairseq_cli.{command}" for command in ("eval_lm", "generate", "hydra_validate")),
        *(f"fairseq_cli.{command}" for command in ("interactive", "preprocess", "train")),
        "fairseq_cli.validate",
    },
    "hydra.utils.instantiate": set(),
    "torch.ops.load_library": set(),
    "torch.jit.load": set(),
}


@pytest.fixture(scope="module")
def calls():
    """fairseq's calls: the module, the function's name with its dots, and the arguments."""
    found = []
    for package in (fairseq, fairseq_cli):
        folder = Path(package.__file__).parent
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            if "examples" not in parts:
                found += of_file(".".join(parts).removesuffix(".__init__"), path)
    assert len({module for module, _, _ in found}) > 300
    return found


def of_file(module, path):
    with warnings.catch_warnings(action="ignore"):  # its escape sequences
        tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name() | ast.Attribute() as name):
                yield module, ast.unparse(name), [*node.args, *node.keywords]
            case ast.Name(id=name) if name in RUNS:  # called or handed on
                yield module, name, []


def test_every_bare_eval_of_fairseq_is_ours(calls):
    found = {module for module, name, _ in calls if name in RUNS}
    assert found <= READERS.keys() | COMMANDS.keys()
    for name in READERS.keys() & found:
        with pytest.raises(NotALiteral):
            sys.modules[name].eval("print('it runs')")


def test_a_commands_eval_is_ours_where_the_command_was_imported_first():
    imports = "; ".join(f"import {name}" for name in COMMANDS)
    evals = ", ".join(f"{name}.eval.keywords" for name in COMMANDS)
    printed = run(
        "python", "-c", f"{imports}; import teaforn_fairseq; print({evals})", env=CHECKOUT
    )
    assert printed.splitlines()[-1] == " ".join(["{'name': 'model_overrides'}"] * len(COMMANDS))


def test_every_option_that_fairseq_evaluates_is_checked(calls):
    found = {
        ast.unparse(given[0]).rpartition(".")[2]
        for _, name, given in calls
        if given and (name == "eval" or name.rpartition(".")[2] in BY_FAIRSEQ_UTILS)
    }
    assert {"conv_feature_layers", "adaptive_softmax_cutoff", "wer_args"} <= found
    # x and uf: of fairseq's own helpers and of argparse's types, which take what a user types.
    # strip(): a line of data. The last two: of a command's own --model-overrides.
    overrides = {"model_overrides", "getattr(override_args, 'model_overrides', '{}')"}
    assert found - {"x", "uf", "strip()"} - overrides <= EVALUATED


@pytest.mark.parametrize("call", KNOWN)
def test_no_other_module_of_fairseq_loads_or_runs_what_an_option_names(calls, call):
    assert {module for module, name, _ in calls if name == call} <= KNOWN[call]


def test_numpy_loads_no_programs(calls):
    loads = [given for _, name, given in calls if name in ("np.load", "numpy.load")]
    assert loads
    assert not [word for given in loads for word in given if "pickle" in ast.unparse(word)]


@pytest.mark.parametrize("name", LOADERS)
def test_torch_is_otherwise_itself_in_modules_that_load(name):
    safe_torch = importlib.import_module(name).torch
    assert safe_torch.nn is torch.nn
    assert safe_torch.load is not torch.load
