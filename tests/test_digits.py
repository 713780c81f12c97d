"""Diehl and Cook's network: its rule by hand, what it learns on every engine, how it is trained and how it is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from net_kit import refused

import neurosim as ns
from neurosim.errors import DataFileError, DimensionError, ParameterError, ResultFileError
from neurosim.models import SpikeSource
from neurosim.models.networks import digits
from neurosim.models.networks.diehl_cook import NearestTripletSTDP, diehl_cook, rates
from neurosim.models.networks.digits import Learned, assign, begin, respond, tell, train
from neurosim.units import ms, mV


def blobs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images of a bright disc in one of four corners, and which."""
    rng = np.random.default_rng(seed)
    corner, images = rng.integers(0, 4, count), np.zeros((count, 28, 28), np.uint8)
    y, x = np.mgrid[:28, :28]
    for image, c in zip(images, corner, strict=True):
        at = 7 + 14 * np.array([c // 2, c % 2]) + rng.integers(-2, 3, 2)
        image[:] = 255 * (np.hypot(y - at[0], x - at[1]) < 5)
    return images, corner


# -- the network -------------------------------------------------------------------------------------------------------


def test_the_rule_is_what_its_equations_say() -> None:
    """One synapse, an arrival a step after each spike; weights by hand."""
    pre, post = [5, 12, 14, 30, 61, 62, 90], [8, 13, 20, 33, 60, 65, 66, 80]
    net = ns.Network("pair", dt=1 * ms)
    source = net.population("source", 1, SpikeSource([pre * ms]))
    trigger = net.population("trigger", 1, SpikeSource([(np.array(post) - 1) * ms]))
    rule = NearestTripletSTDP(nu_pre=0.05, nu_post=0.2)
    cell = ns.Cell("dv/dt = -v/tau; dg/dt = -g/tau", threshold="v > 0.5", reset="v = 0", tau=1 * ms,
                   receptors={"e": ns.Receptor(event="v += w"), "learns": ns.Receptor(event="g += w")})  # fmt: skip
    target = net.population("target", 1, cell)
    net.connect(trigger, target, receptor="e", weight=1.0, delay=1 * ms)
    net.connect(source, target, receptor="learns", weight=0.4, delay=1 * ms, plasticity=rule, name="synapse")
    net.record(target, "spikes")
    result = net.run(100 * ms, backend="reference")
    assert result.spikes["target"].steps.tolist() == post

    w, changes = 0.4, 0
    for t in range(100):
        if t - 1 in pre and (before := [s for s in post if s < t]):
            w, changes = w - 0.05 * np.exp(-(t - before[-1]) / 20), changes + 1
        if t in post:
            came, before = [s + 1 for s in pre if s + 1 <= t], [s for s in post if s < t]
            if came and before:
                w += 0.2 * np.exp(-(t - came[-1]) / 20) * np.exp(-(t - before[-1]) / 40)
        w = min(max(w, 0.0), 1.0)
    assert changes == 6 and w != 0.4
    assert result.weights("synapse") == pytest.approx(w, rel=1e-12)


def test_engines_learn_the_same_to_the_bit() -> None:
    net = diehl_cook(8, seed=3)
    truth = net.run(300 * ms, backend="reference")
    changed = truth.weights("features") - net.edges("features").weight
    assert len(truth.spikes["exc"]) > 20 and changed.min() < 0 and changed.max() > 0.01
    for threads in (1, 2):
        found = net.run(300 * ms, threads=threads)
        assert np.array_equal(found.weights("features"), truth.weights("features"))
        assert all(found.spikes[k].identical(truth.spikes[k]) for k in ("inputs", "exc", "inh"))


def test_one_that_learns_nothing_is_the_one_without_learning() -> None:
    weights, theta = begin(10, 1).weights, np.linspace(18, 22, 10) * mV
    still = {"nu_pre": 0.0, "nu_post": 0.0, "theta_plus": 0 * mV, "tau_theta": 1e18 * ms}
    given = {"n": 10, "weights": weights, "theta": theta}
    learning, fixed = diehl_cook(**given, **still), diehl_cook(**given, learning=False)
    a, b = learning.run(350 * ms), fixed.run(350 * ms)
    assert len(a.spikes["exc"]) > 10 and a.spikes["exc"].identical(b.spikes["exc"])
    assert a.weights("features") == pytest.approx(b.weights("features"), rel=1e-9)
    counts = np.bincount(b.spikes["exc"].ids, minlength=10)
    assert np.count_nonzero(counts) > 1 and counts[:5].sum() > counts[5:].sum()  # the low thresholds win


def test_rates_are_the_published_ones() -> None:
    assert rates(np.full(784, 255)) == pytest.approx(63.75)
    net = diehl_cook(1, image=np.full((28, 28), 255))
    counts = len(net.run(350 * ms).spikes["inputs"])
    assert counts == pytest.approx(784 * 63.75 * 0.35, rel=0.03)
    for image in (np.zeros(783), np.full(784, 256), np.full(784, np.nan), -np.ones(784)):
        assert "28 x 28 values from 0 to 255" in refused(ParameterError, lambda image=image: rates(image))


def test_what_is_no_image_and_no_intensity() -> None:
    for image in ([[1], [1, 2]], "abc", None, np.zeros(784) * 1j, ["1"] * 784, np.zeros((56, 14)), np.zeros((1, 784))):
        assert "28 x 28 values from 0 to 255" in refused(ParameterError, lambda image=image: rates(image))
    message = refused(DimensionError, lambda: rates(np.zeros(784) * mV))
    assert "28 x 28 values" in message and "divide by a unit" in message
    for intensity in ("a", -1, np.nan, np.inf, [1, 2], None, True):
        for make in (lambda i=intensity: rates(np.zeros(784), i), lambda i=intensity: diehl_cook(1, intensity=i)):
            assert "intensity is a finite number from 0 on" in refused(ParameterError, make)


def test_weights_have_a_row_for_each_pixel() -> None:
    weights = np.arange(784 * 3).reshape(784, 3) / 4096  # on the grid of weights
    edges = diehl_cook(3, weights=weights).edges("features")
    assert np.array_equal(edges.weight, weights[edges.pre, edges.post])
    for wrong in (weights.T, weights.ravel(), weights[:, :2], 0.1, [[1], [1, 2]], "a", weights * 1j, weights > 0):
        message = refused(ParameterError, lambda wrong=wrong: diehl_cook(3, weights=wrong))
        assert "weights are finite numbers, [784, n], here [784, 3]" in message
    for value in (np.nan, np.inf):
        weights[7, 2] = value
        assert f"got {value} at [7, 2]" in refused(ParameterError, lambda: diehl_cook(3, weights=weights))
    assert "weights are finite" in refused(DimensionError, lambda: diehl_cook(3, weights=np.zeros((784, 3)) * mV))


# -- training ----------------------------------------------------------------------------------------------------------


def test_neurons_become_what_they_see(monkeypatch: pytest.MonkeyPatch) -> None:
    (images, corners), (others, theirs) = blobs(120), blobs(60, seed=1)
    told = []
    learned = train(images, n=12, seed=2, progress=told.append)
    assert learned.shown == 120 and told == [learned] and learned.history.shape == (1, 3)
    assert learned.weights.sum(0) == pytest.approx(78) and np.all(learned.theta > 0.02)
    answers = respond(learned, images)
    labels, busy = assign(answers, corners), answers.sum(0) > 20
    counts = respond(learned, others, seed=5)
    assert counts.shape == (60, 12) and np.all(counts.sum(1) >= digits.LEAST)
    assert np.mean(tell(counts, labels) == theirs) > 0.95
    halves = np.array([learned.weights.reshape(28, 28, 12)[y : y + 14, x : x + 14].sum((0, 1))
                       for y in (0, 14) for x in (0, 14)])  # fmt: skip
    assert busy.sum() >= 5 and np.array_equal(halves.argmax(0)[busy], labels[busy])  # they look like what they answer
    monkeypatch.setattr(digits, "ASKED", 25)
    assert np.array_equal(respond(learned, others[:50], threads=1), respond(learned, others[:50], threads=2))


def test_a_training_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "STRETCH", 8)
    (images, _), path = blobs(20), tmp_path / "kept.npz"
    whole = train(images, n=5, theta_plus=0.2 * mV)

    def stop(learned: Learned) -> None:
        if learned.shown == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(images, n=5, theta_plus=0.2 * mV, checkpoint=path, progress=stop)
    assert Learned.load(path).shown == 16
    again = train(images, n=5, theta_plus=0.2 * mV, checkpoint=path)
    for found in (again, Learned.load(path)):
        for name in ("weights", "theta", "history"):
            assert np.array_equal(getattr(found, name), getattr(whole, name)), name
        assert (found.shown, found.digest, found.parameters) == (20, whole.digest, {"theta_plus": 0.2e-3})
    assert train(images, n=5, theta_plus=0.2 * mV, checkpoint=path).shown == 20  # nothing is left to do
    assert [p.name for p in tmp_path.iterdir()] == ["kept.npz"]

    for change, message in (
        ({"n": 6}, "is of another training, neurons: 5, not 6"),
        ({"seed": 2}, "is of another training, the seed: 1, not 2"),
        ({"nu_pre": 0.0}, "is of another training, the parameters"),
        ({"images": 255 - images}, "its 20 images are not the first of these 20"),
        ({"images": images[:4]}, "its 20 images are not the first of these 4"),
        ({"images": np.concatenate([images, images])}, "ended with 20 images, not a multiple of 8"),
    ):
        given = {"images": images, "n": 5, "theta_plus": 0.2 * mV, **change}
        assert message in refused(ParameterError, lambda given=given: train(**given, checkpoint=path))


def test_what_is_no_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, corners = blobs(3)
    for wrong in (images[0], images.reshape(3, 4, 196)[:, :2], images / 255 - 1, images * 2.0, images.astype(str),
                  images.reshape(3, 56, 14), images > 0, [[1], [1, 2]], "abc", None):  # fmt: skip
        assert "images are values from 0 to 255" in refused(ParameterError, lambda wrong=wrong: train(wrong))
    assert "images are values" in refused(DimensionError, lambda: train(images * mV))
    assert "'thetaplus' is none of" in refused(ParameterError, lambda: train(images, thetaplus=1 * mV))
    for labels in (corners[:2], corners + 10, corners * 0.5, [1, 2, [3]], "abc", [None] * 3):
        assert "one for each image" in refused(ParameterError, lambda labels=labels: assign(np.zeros((3, 5)), labels))
    for many in ({"excite": ns.uniform(9, 11)}, {"nu_pre": "nu_post"}, {"theta_plus": [1, 2] * mV}):
        assert f"{next(iter(many))} must be" in refused(ParameterError, lambda many=many: begin(4, **many))
    assert "dt must be a time" in refused(DimensionError, lambda: begin(4, dt=0.5))
    learned = begin(4)
    for threads in ("a", 0, 1.5, True):
        said = refused(ParameterError, lambda threads=threads: respond(learned, images, threads=threads))
        assert said == f"threads must be a whole number of at least 1, got {threads!r}"
    assert "what train() or Learned.load() returns" in refused(ParameterError, lambda: respond("digits.npz", images))
    assert "cannot write" in refused(ResultFileError, lambda: learned.save(tmp_path / "no" / "file.npz"))
    path = tmp_path / "digits.npz"
    assert "there is no file" in refused(DataFileError, lambda: Learned.load(path))
    learned.save(path)
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[: len(whole) // 2], b"text\n" * 100):
        path.write_bytes(content)
        assert "is not what Learned.save() writes" in refused(DataFileError, lambda: Learned.load(path))
    np.savez(path, weights=np.zeros(3))
    assert "is not what Learned.save() writes" in refused(DataFileError, lambda: Learned.load(path))
    assert respond(learned, images[:0]).shape == (0, 4)
    train(images, n=2, progress=True)
    assert "learnt from 3 of 3 images" in capsys.readouterr().err


def test_a_seed_is_a_whole_number_of_either_kind(tmp_path: Path) -> None:
    images, path = blobs(2)[0], tmp_path / "digits.npz"
    learned = begin(np.int64(3), np.uint64(2))
    assert type(learned.seed) is int and np.array_equal(learned.weights, begin(3, 2).weights)
    counts = respond(learned, images, seed=5)
    assert not np.array_equal(counts, respond(learned, images))
    assert np.array_equal(counts, respond(learned, images, seed=np.int64(5)))
    for given in (learned, replace(learned, seed=np.int64(2), shown=np.int64(0))):
        given.save(path)
        assert (Learned.load(path).seed, Learned.load(path).shown) == (2, 0)
        assert np.array_equal(respond(given, images), respond(learned, images))
    assert np.array_equal(train(images, 2, np.int64(7)).weights, train(images, 2, 7).weights)
    for seed in ("a", 1.0, -1, 2**64, True, [1]):
        for make in (lambda s=seed: begin(3, s), lambda s=seed: respond(learned, images, seed=s),
                     lambda s=seed: train(images, 2, s)):  # fmt: skip
            assert f"seed must be a whole number from 0 to 2**64 - 1, got {seed!r}" in refused(ParameterError, make)


def test_an_image_that_nobody_sees_is_left_in_the_end() -> None:
    learned = begin(3)
    assert respond(learned, np.zeros((1, 784))).sum() == 0


def test_labels_are_those_of_the_greatest_mean_answer() -> None:
    counts = np.array([[4, 0, 1, 0], [0, 2, 1, 0], [0, 3, 1, 0], [6, 1, 0, 0]])
    assigned = assign(counts, [0, 7, 7, 0])
    assert assigned.tolist() == [0, 7, 7, -1]
    assert tell(counts, assigned).tolist() == [0, 7, 7, 0]
    assert assign(np.array([[2], [1], [3]]), [1, 1, 2]).tolist() == [2]  # means, not sums
    assert assign(counts.tolist(), np.array([0, 7, 7, 0], np.uint64)).tolist() == [0, 7, 7, -1]
    assert tell(counts.tolist(), [0, 7, 7, -1]).tolist() == [0, 7, 7, 0]


def test_counts_have_a_row_for_each_image() -> None:
    three = [0, 1, 2]
    for counts in (np.zeros(3), np.zeros((3, 2, 2)), -np.ones((3, 3)), np.full((3, 3), np.nan), [[1], [1, 2], [3]],
                   None, "abc", np.full((3, 3), "1")):  # fmt: skip
        for read in (assign, tell):
            message = refused(ParameterError, lambda counts=counts, read=read: read(counts, three))
            assert "counts are [images, n], finite numbers from 0 on" in message
    for labels in (three[:2], [0, 1, 10], [0, 1, -2], [0.0, 1.0, 2.0], [[1], [1, 2]], None):
        message = refused(ParameterError, lambda labels=labels: tell(np.zeros((5, 3)), labels))
        assert "labels of neurons are 3 whole numbers from -1 to 9" in message
