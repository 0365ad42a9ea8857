"""Histograms of gradients and parameters, by hooks on real models."""

import copy
import io
import math

import pytest
import torch
from torch.utils.data import DataLoader

from runfmt.watch import tensor_histogram, unwatch, watch


@pytest.fixture
def model():
    yield torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    unwatch()


def step(model):
    model.zero_grad()
    model(torch.randn(8, 3)).square().mean().backward()


def keys(rows):
    return [key for row in rows for key in row if not key.startswith("_")]


NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize(
    ("log", "kinds"),
    [
        ("gradients", ["gradients"]),
        ("parameters", ["parameters"]),
        ("all", ["gradients", "parameters"]),
        (None, []),
    ],
)
def test_histograms_are_logged_every_so_many_passes(log, kinds, model, run, rows):
    run.watch(model, log=log, log_freq=3)
    for _ in range(7):
        step(model)
    assert sorted(keys(rows())) == sorted(
        f"{kind}/{name}" for kind in kinds for name in NAMES for _ in range(2)
    )


def test_histograms_belong_to_the_step_that_is_logged_next(model, run, rows):
    run.watch(model, log="all", log_freq=1)
    for loss in range(2):
        step(model)
        run.log({"loss": loss})
    steps = {row["_step"]: set() for row in rows()}
    for row in rows():
        steps[row["_step"]] |= row.keys()
    assert list(steps) == [0, 1]
    for found in steps.values():
        assert found == {
            "_step",
            "_timestamp",
            "loss",
            *(f"{kind}/{n}" for kind in ("gradients", "parameters") for n in NAMES),
        }


def test_a_histogram_counts_the_gradient_itself(model, run, rows):
    run.watch(model, log_freq=1)
    step(model)
    found = next(row["gradients/0.weight"] for row in rows() if "gradients/0.weight" in row)
    gradient = model[0].weight.grad
    assert (found["_type"], sum(found["values"])) == ("histogram", gradient.numel())
    assert (found["bins"][0], found["bins"][-1]) == (gradient.min().item(), gradient.max().item())


def test_further_models_are_told_apart(model, run, rows):
    run.watch([model, torch.nn.Linear(1, 1)], log="parameters", log_freq=1)
    other = torch.nn.Linear(2, 1)
    run.watch(other, log="parameters", log_freq=1)
    other(torch.zeros(1, 2))
    assert keys(rows()) == ["parameters/graph_2weight", "parameters/graph_2bias"]


def test_watching_again_replaces_and_unwatch_ends(model, run, rows):
    run.watch(model, log_freq=1)
    run.watch(model, log_freq=1, idx=0)
    step(model)
    assert sorted(keys(rows())) == sorted(f"gradients/{name}" for name in NAMES)
    run.unwatch(model)
    step(model)
    assert len(keys(rows())) == 4
    assert not model[0].weight._backward_hooks


def test_copies_of_a_watched_model_are_saved_and_do_not_log(model, run, rows):
    run.watch(model, log="all", log_freq=1)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        step(other)
    assert rows() == []


def test_a_hook_that_fails_is_warned_of_and_training_goes_on(model, run):
    run.watch(model, log="gradients", log_freq=1)
    run.log = None
    with pytest.warns(RuntimeWarning, match="this hook stops"):
        step(model)
    step(model)
    assert model[0].weight.grad is not None


def test_hooks_are_silent_after_the_end(model, run, rows, capsys):
    run.watch(model, log="all", log_freq=1)
    run.finish()
    capsys.readouterr()
    step(model)
    assert rows() == []
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_data_loader_may_use_a_watched_model(model, run, rows, capfd):
    run.watch(model, log="parameters", log_freq=1)

    class Data(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            with torch.no_grad():
                return model[2](torch.zeros(4)) + model(torch.zeros(3)) * 0

    torch.set_num_threads(1)
    assert len(list(DataLoader(Data(), num_workers=2, multiprocessing_context="fork"))) == 4
    assert rows() == []
    assert "hook" not in capfd.readouterr().err


def test_wrong_arguments_are_refused(model, run):
    with pytest.raises(ValueError, match="log='weights'"):
        watch(model, log="weights", run=run)
    with pytest.raises(TypeError, match="torch modules, not int"):
        watch([model, 3], run=run)


@pytest.mark.parametrize(
    ("tensor", "values", "bins", "nonfinite"),
    [
        (torch.tensor([1.0, 2.0, math.nan, math.inf]), 2, (1, 2), 2),
        (torch.zeros(5, dtype=torch.bfloat16), 5, (0, 0), 0),
        (torch.arange(10), 10, (0, 9), 0),
        (torch.tensor([[1.0, 0, 0], [-3, 0, 0]]).to_sparse(), 6, (-3, 1), 0),
        (torch.eye(3).to_sparse(), 9, (0, 1), 0),
        (torch.tensor([-3e38, 3e38]), 2, (-3e38, 3e38), 0),
    ],
)
def test_tensors_of_every_kind_are_counted(tensor, values, bins, nonfinite):
    found = tensor_histogram(tensor)
    assert (sum(found.histogram), found.nonfinite) == (values, nonfinite)
    assert (found.bins[0], found.bins[-1]) == pytest.approx(bins)


def test_a_tensor_without_finite_values_has_no_histogram():
    assert tensor_histogram(torch.tensor([math.nan])) is None
    assert tensor_histogram(torch.tensor([])) is None
