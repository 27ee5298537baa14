"""Distillation: a student comes to say what its teacher says."""

import math

import pytest
import torch
from torch import nn

from brainnet.models.core import predict
from brainnet.models.core.compress.distil import Distillation, distil, divergence
from brainnet.models.core.fit import fork_seed
from brainnet.models.core.recipe import Recipe


def test_divergence_of_two_coins():
    """KL of (3/4, 1/4) from (1/2, 1/2), at temperature 1."""
    fair, loaded = torch.zeros(1, 2), torch.tensor([[math.log(3.0), 0.0]])
    wanted = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(divergence(fair, loaded, temperature=1.0)) == pytest.approx(wanted, rel=1e-5)
    # the same coin as one channel that stands alone, beside a channel that never changes
    alone = [torch.tensor([[0.0, each]]) for each in (0.0, math.log(3.0))]
    found = divergence(*alone, temperature=1.0, n_exclusive=1)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_gradients_do_not_shrink_with_the_temperature():
    """Hinton's factor: for high temperatures the gradient is that of squared logits."""
    teacher = torch.tensor([[0.3, -0.2, -0.1]])
    sizes = []
    for temperature in (10.0, 100.0):
        student = torch.zeros(1, 3, requires_grad=True)
        divergence(student, teacher, temperature=temperature).backward()
        sizes.append(float(student.grad.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def _networks():
    with fork_seed(1):
        teacher = nn.Sequential(nn.Conv1d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 3, 1))
        student = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv1d(4, 3, 1))
    return teacher, student


def _batches(epoch):
    generator = torch.Generator().manual_seed(epoch)
    return [{"image": torch.randn((8, 1, 16), generator=generator)} for _ in range(4)]


def test_a_student_learns_what_its_teacher_says_without_any_truth():
    teacher, student = _networks()
    kept = {name: each.clone() for name, each in teacher.state_dict().items()}
    loss = Distillation(teacher)
    image = _batches(1000)[0]
    before = float(loss(student, image).detach())
    distil(loss, student, _batches, recipe=Recipe(n_epochs=60, learning_rate=0.02))
    assert float(loss(student, image).detach()) < 0.05 * before
    assert all(torch.equal(each, kept[name]) for name, each in teacher.state_dict().items())
    assert all(each.requires_grad for each in teacher.parameters())


def test_the_task_loss_pulls_too_and_sees_the_answer_once():
    teacher, student = _networks()
    calls = []
    student.register_forward_hook(lambda *_: calls.append(1))

    def task_loss(model, batch):
        return (model(batch["image"]) ** 2).mean()

    loss = Distillation(teacher, task_loss=task_loss, task_weight=100.0)
    recipe = Recipe(n_epochs=30, learning_rate=0.02)
    distil(loss, student, _batches, recipe=recipe)
    assert len(calls) == 30 * 4
    assert float(student(_batches(99)[0]["image"]).detach().abs().mean()) < 0.05


def test_the_teacher_runs_as_in_predict(monkeypatch):
    """Without instance norms, which cost it a copy of the image and back."""
    teacher = nn.Sequential(nn.Conv3d(1, 4, 3), nn.InstanceNorm3d(4), nn.Conv3d(4, 2, 1)).eval()
    student = nn.Conv3d(1, 2, 3)
    image = torch.rand(1, 1, 6, 6, 6)
    wanted = divergence(student(image), teacher(image))
    loss = Distillation(teacher)
    monkeypatch.delattr(nn.functional, "instance_norm")
    found = loss(student, {"image": image})
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    found.backward()
    assert student.weight.grad.abs().sum() > 0


def test_in_bfloat16_the_teacher_runs_in_it_too(monkeypatch):
    monkeypatch.setattr(predict, "_has_bf16", lambda: True)
    teacher, student = _networks()
    seen = []
    loss = Distillation(teacher)
    loss.teacher.register_forward_hook(lambda *each: seen.append(each[-1].dtype))
    distil(loss, student, _batches, recipe=Recipe(n_epochs=1, precision="bf16-mixed"))
    assert set(seen) == {torch.bfloat16}


def test_a_student_as_large_as_its_teacher_and_no_images():
    teacher, student = _networks()
    with pytest.raises(ValueError, match=r"student must have fewer weights .* 59 and 59"):
        distil(Distillation(teacher), teacher, _batches)
    with pytest.raises(ValueError, match="fewer weights"):
        distil(Distillation(student), teacher, _batches)
    with pytest.raises(ValueError, match="batches must not be empty"):
        distil(Distillation(teacher), student, lambda epoch: [])
    with pytest.raises(ValueError, match="temperature must be positive"):
        Distillation(teacher, temperature=0)
