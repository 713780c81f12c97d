"""JEPA: masks, what the encoder can see, the slow copy, collapse; transformers as the oracle; a little of MNIST."""

from __future__ import annotations

import importlib.util
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim.errors import ParameterError

if importlib.util.find_spec("torch"):
    import torch

    from neurosim.models.jepa import JEPA, Encoder, Masks, MultiBlock, features, principal, probe, spread, train_jepa
    from neurosim.models.jepa.encoder import positions, take

pytestmark = [pytest.mark.engine("torch"), pytest.mark.usefixtures("double_tensors")]


def image_encoder(**options: Any) -> Any:
    return Encoder((16, 16), (4, 4), 3, dim=16, depth=2, heads=2, **options)


@pytest.mark.parametrize("grid", [(7, 7), (10, 6), (4, 5, 5)])
def test_masks(grid: tuple[int, ...]) -> None:
    masks = MultiBlock(grid, targets=3, target_share=(0.15, 0.2))
    gen = torch.Generator().manual_seed(3)
    frame = grid[-1] * grid[-2]
    frames = grid[0] if len(grid) == 3 else 1
    for _ in range(20):
        context, targets = masks(8, gen)
        assert targets.shape[:2] == (8, 3)
        for shown, blocks in zip(context, targets, strict=True):
            assert not set(shown.tolist()) & set(blocks.flatten().tolist())
            assert len(set(shown.tolist())) == len(shown) >= 4 * frames
            for block in blocks:
                flat = block.view(frames, -1)
                assert torch.equal(flat % frame, flat[:1].expand_as(flat) % frame)  # a tube
                assert torch.equal(flat // frame, torch.arange(frames)[:, None].expand_as(flat))
                rows, columns = flat[0] // grid[-1], flat[0] % grid[-1]
                height, width = (int(x.max() - x.min()) + 1 for x in (rows, columns))
                assert height * width == flat.shape[1]  # a full rectangle
                assert 0.1 * frame < height * width < 0.27 * frame and 0.5 < height / width < 2


def test_masks_are_drawn_from_the_generator() -> None:
    masks = MultiBlock((7, 7))
    a, b = (masks(4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    with pytest.raises(ParameterError, match="leave no context of 4 patches in 3 x 3"):
        MultiBlock((3, 3), targets=9, target_share=(0.6, 0.7))(1)
    with pytest.raises(ParameterError, match="a grid of 1 axes"):
        MultiBlock((9,))


def test_patches_are_those_of_the_image() -> None:
    x = torch.randn(2, 3, 16, 16)
    rows = image_encoder().patches(x)
    assert rows.shape == (2, 16, 48)
    assert torch.equal(rows[1, 6], x[1, :, 4:8, 8:12].flatten())
    video = Encoder((6, 8, 8), (2, 4, 4), 1, dim=16, depth=1, heads=2)
    clip = torch.randn(2, 1, 6, 8, 8)
    assert torch.equal(video.patches(clip)[0, 4 + 2], clip[0, :, 2:4, 4:8, :4].flatten())
    assert video(clip).shape == (2, 12, 16)


def test_positions_are_all_different() -> None:
    place = positions((4, 5, 6), 20)
    apart = torch.cdist(place, place) + 10 * torch.eye(120)
    assert place.shape == (120, 20) and float(apart.min()) > 0.1


@pytest.mark.engine("transformers")
def test_equal_to_transformers_ijepa() -> None:
    from transformers import IJepaConfig, IJepaModel

    config = IJepaConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=16, patch_size=4,
        layer_norm_eps=1e-6, attn_implementation="eager",
    )  # fmt: skip
    theirs = IJepaModel(config, add_pooling_layer=False).double().eval()
    ours = image_encoder()
    names = {
        "attention.q_proj": "attention.to_query", "attention.k_proj": "attention.to_key", "mlp.fc1": "inner",
        "attention.v_proj": "attention.to_value", "attention.o_proj": "attention.to_out", "mlp.fc2": "outer",
        "layernorm_before": "norm_attention", "layernorm_after": "norm_inner", "layernorm.": "norm.",
        "embeddings.patch_embeddings.projection": "embed",
    }  # fmt: skip
    state = {}
    for name, value in theirs.state_dict().items():
        for old, new in names.items():
            name = name.replace(old, new)
        state[name] = value.flatten(1) if name == "embed.weight" else value
    place = state.pop("embeddings.position_embeddings")[0]
    ours.load_state_dict(state)
    ours.positions.copy_(place)
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x).last_hidden_state, atol=1e-10)


def drawn(model: Any, batch: int = 2) -> Any:
    return MultiBlock(model.encoder.grid, targets=2)(batch, torch.Generator().manual_seed(1))


def test_what_is_hidden_does_not_leak_into_the_context() -> None:
    """Exactly: the context's features are the same to the bit, and the targets' are not."""
    model = JEPA(image_encoder(), width=8)
    x, masks = torch.randn(2, 3, 16, 16), drawn(model)
    hidden = torch.zeros(2, 16, dtype=torch.bool).scatter(1, masks.targets.flatten(1), True)
    pixels = hidden.view(2, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    other = torch.where(pixels, torch.randn_like(x), x)
    a, b = (model.encoder(v, masks.context) for v in (x, other))
    assert float((a - b).detach().abs().max()) == 0.0
    wanted = masks.targets.flatten(1)
    assert not torch.allclose(model.targets(x, wanted), model.targets(other, wanted))
    # the control: an encoder that sees everything and is asked for the shown patches afterwards does leak
    seen = [take(model.encoder(v), masks.context) for v in (x, other)]
    assert not torch.allclose(*seen)


def test_the_slow_copy_gets_no_gradient_and_follows() -> None:
    model = JEPA(image_encoder(), width=8)
    x, masks = torch.randn(2, 3, 16, 16), drawn(model)
    model(x, masks).backward()
    assert all(p.grad is None for p in model.target.parameters())
    assert all(p.grad is not None for p in (*model.encoder.parameters(), *model.predictor.parameters()))
    with torch.no_grad():
        for p in model.encoder.parameters():
            p.add_(1.0)
    before = [p.clone() for p in model.target.parameters()]
    model.follow(0.9)
    for old, new, fast in zip(before, model.target.parameters(), model.encoder.parameters(), strict=True):
        assert torch.allclose(new, 0.9 * old + 0.1 * fast)
    control = JEPA(image_encoder(), width=8, moving=False)
    assert control.targets(x, masks.targets.flatten(1)).requires_grad


def test_targets_are_normalised_and_the_loss_is_theirs() -> None:
    model = JEPA(image_encoder(), width=8, distance="absolute")
    x, masks = torch.randn(2, 3, 16, 16), drawn(model)
    s = model.targets(x, masks.targets.flatten(1))
    assert torch.allclose(s.mean(-1), torch.zeros(()), atol=1e-12)
    assert torch.allclose(s.var(-1, correction=0), torch.ones(()), atol=1e-3)
    parts = []
    for b in range(2):
        for block in masks.targets[b]:
            shown = masks.context[b : b + 1]
            guess = model.predictor(model.encoder(x[b : b + 1], shown), shown, block[None])
            parts.append((guess - model.targets(x[b : b + 1], block[None])).abs().mean())
    assert torch.allclose(model(x, masks), torch.stack(parts).mean(), atol=1e-12)


def test_measures_of_collapse() -> None:
    z = torch.randn(400, 8)
    good = spread(z)
    assert good.deviation == pytest.approx(1, abs=0.05) and good.rank > 7.9 and abs(good.cosine) < 0.02
    same = spread(torch.ones(400, 8) + 1e-6 * z)
    assert same.deviation < 1e-5 and same.rank < 1.1 and same.cosine > 0.999
    line = spread(torch.randn(400, 1) * torch.ones(1, 8))
    assert line.rank == pytest.approx(1, abs=1e-6)
    labels = (z[:, 0] > 0).long()
    assert probe(z[:200], labels[:200], z[200:], labels[200:]) > 0.95
    assert probe(z[:200, 1:], labels[:200], z[200:, 1:], labels[200:]) < 0.65
    first, _ = principal(z * torch.tensor([9.0, 1, 1, 1, 1, 1, 1, 1]), z, 1)
    assert abs(np.corrcoef(first[:, 0], z[:, 0])[0, 1]) > 0.99


@pytest.mark.shared_data("mnist/mnist.npz")
def test_a_little_training_on_digits_and_its_control(shared: Path) -> None:
    """The loss falls; without a slow copy all images' features become the same. (At length: scripts/evidence jepa.)"""
    torch.set_default_dtype(torch.float32)
    with np.load(shared / "mnist" / "mnist.npz") as file:
        x = torch.from_numpy(file["x_train"][:512]).float()[:, None] / 255
    kept = []
    for moving in (True, False):
        torch.manual_seed(0)
        gen = torch.Generator().manual_seed(0)
        model = JEPA(Encoder((28, 28), (4, 4), dim=32, depth=1, heads=4), width=16, depth=1, moving=moving)
        before = spread(features(model.encoder, x))
        batches = (x[torch.randint(512, (32,), generator=g)] for g in repeat(gen))
        losses = train_jepa(model, batches, MultiBlock((7, 7)), 100, lr=3e-3, momentum=(0.99, 1.0), generator=gen)
        assert losses[-1] < 0.7 * losses[0]
        kept.append(spread(features(model.encoder, x)).deviation / before.deviation)
    assert kept[0] > 0.4 and kept[1] < 0.2


def test_what_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"patches of \(5, 4\) do not tile an input of \(16, 16\)"):
        Encoder((16, 16), (5, 4))
    with pytest.raises(ParameterError, match="distance is 'cosine'; known: square, absolute"):
        JEPA(image_encoder(), distance="cosine")
    with pytest.raises(ParameterError, match="width 4 has no room for a sine and a cosine for each of 3 axes"):
        positions((2, 2, 2), 4)
    assert Masks._fields == ("context", "targets")
