"""A hundred poles, each balanced by spiking neurons of its own: one network in a closed loop with an environment.

Carts of 1 kg, poles of 1 m, the equations of R. V. Florian (2007) for A. G. Barto, R. S. Sutton, C. W. Anderson's task
(1983). Every 20 ms the state of each cart reaches 200 neurons, each with a direction in it that it prefers, and the
spikes of two populations of ten push the cart, to the left and to the right. Weights in between are those of C. H.
Eliasmith and C. H. Anderson's method (2003): the rates of the neurons add up to a push that saturates, which is not
linear in the state. The result: from random states, and with the pole being hit each second, at least 95 of 100 poles
stand for 10 s, and most do without a tenth of the neurons; if the two populations are silent none does.
"""

import numpy as np
from scipy.linalg import solve_discrete_are

import neurosim as ns
from neurosim.models import LIF, ExpCurrent, LiveCurrent, OUNoise
from neurosim.units import ms, mV

N, M, T_M, T_REF = 200, 10, 0.02, 0.002  # neurons for the state of a pole, and for each side; seconds
SCALE = np.array([2.4, 3.0, 0.21, 3.0])  # m, m/s, rad, rad/s: what counts as large


def move(state, force):
    """Return the states [poles, (x, speed, angle, angular speed)] after 20 ms of force (N)."""
    _, speed, angle, turning = state.T
    cos, sin = np.cos(angle), np.sin(angle)
    turn = (9.8 * sin - cos * (force + 0.05 * turning**2 * sin) / 1.1) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    return state + 0.02 * np.stack([speed, (force + 0.05 * (turning**2 * sin - turn * cos)) / 1.1, turning, turn], 1)


def wish(state):
    """Return the push that the network is made to compute, from -1 to 1."""
    a = np.stack([(move(h, 0.0) - move(-h, 0.0))[0] / 2e-6 for h in 1e-6 * np.eye(4)[:, None]], 1)
    b = ((move(np.zeros((1, 4)), 1e-6) - move(np.zeros((1, 4)), -1e-6)) / 2e-6).T
    p = solve_discrete_are(a, b, np.diag([0.25, 0.05, 10, 0.5]), np.array([[0.02]]))
    return np.tanh(state @ -np.linalg.solve(0.02 + b.T @ p @ b, b.T @ p @ a)[0] / 10)


def controller(poles, seed, strength):
    """Return a network for so many poles, and what turns states into currents of its neurons."""
    g = np.random.default_rng(seed)
    prefers = g.normal(size=(poles, N, 4))
    prefers /= np.linalg.norm(prefers, axis=2, keepdims=True)
    silent_at, most = g.uniform(-0.9, 0.9, (poles, N)), g.uniform(80, 200, (poles, N))
    gain = (1 / np.expm1((1 / most - T_REF) / T_M)) / (1 - silent_at)
    net, cell = ns.Network("poles", dt=1 * ms, seed=seed), LIF(v_rest=0 * mV, v_reset=0 * mV, v_th=1 * mV, t_ref=2 * ms)
    state = net.population("state", poles * N, cell, init={"v": ns.uniform(0 * mV, 1 * mV)})
    net.stimulate(state, LiveCurrent, name="input")
    net.stimulate(state, OUNoise(0 * mV, 0.1 * mV, 5 * ms), name="noise")
    seen = g.uniform(-1, 1, (1500, 4)) * 1.3 * g.uniform(0, 1, (1500, 1)) ** 0.5
    decoders, goal = np.empty((poles, N)), wish(seen * SCALE)
    for k in range(poles):  # least squares on the rates that a leaky integrator has at a constant current
        over = np.maximum(gain[k] * (seen @ prefers[k].T - silent_at[k]), 1e-9)
        rates = 1 / (T_REF + T_M * np.log1p(1 / over))
        decoders[k] = np.linalg.solve(rates.T @ rates + 1500 * 10**2 * np.eye(N), rates.T @ goal)
    pre, post = np.repeat(np.arange(poles * N), M), np.arange(poles * M).reshape(poles, 1, M).repeat(N, 1).ravel()
    for side, sign in (("left", -1), ("right", 1)):
        pushes = net.population(side, poles * M, cell(receptors={"syn": ExpCurrent(tau=10 * ms)}))
        net.stimulate(pushes, OUNoise(1.6 * mV if strength else 0 * mV, 0.5 * mV * strength, 5 * ms))
        weight = sign * strength * 1.5 / 0.01 * decoders.ravel()[pre] * mV  # a current of 1.5 mV at a push of 1
        net.connect(state, pushes, rule=ns.EdgeList(pre, post), weight=weight, delay=1 * ms)
    return net, lambda s: gain * (np.einsum("pnd,pd->pn", prefers, np.clip(s / SCALE, -1.5, 1.5)) - silent_at) + 1


def balance(poles=100, steps=500, hit=0.5, dead=0.0, strength=1.0, seed=1):
    """Return states [steps, poles, 4], how many steps each pole stood, and the spikes of the first pole's neurons."""
    (net, currents), g = controller(poles, seed, strength), np.random.default_rng(seed + 1)
    state, alive = g.uniform(-1, 1, (poles, 4)) * [1, 0.5, 0.1, 0.5], g.random((poles, N)) >= dead
    stood, states, spikes = np.full(poles, steps), np.empty((steps, poles, 4)), []
    for n, step in enumerate(net.stream(every=20 * ms, duration=steps * 20 * ms)):
        left, right = (step.counts(side).reshape(poles, M).sum(1) for side in ("left", "right"))
        if n % 50 == 25:
            state[:, 3] += g.choice([-hit, hit], poles)
        states[n] = state = move(state, np.clip(right - left, -10, 10))  # a newton for each spike
        down = (np.abs(state[:, 0]) > 2.4) | (np.abs(state[:, 2]) > np.radians(12))  # the rules of the task
        stood[down & (stood == steps)] = n
        state = np.where(stood[:, None] < steps, 0, state)  # over: it does not matter any more
        step.simulation.set("state.input.value", np.where(alive, currents(state), 0).ravel() * mV)
        for name, first, size in (("left", 0, M), ("right", M, M), ("state", 2 * M, N)):
            ids = step.spikes(name)
            spikes.append(np.stack([step.spike_steps(name), ids + first], 1)[ids < size])
    return states, stood, np.concatenate(spikes)


def main(poles=100, steps=500, path=None, frames=None):
    """Return how many of the poles stand: as built, without a tenth of the neurons, without pushes; and the angle."""
    states, stood, spikes = balance(poles, steps)
    worse, idle = balance(poles, steps, dead=0.1)[1], balance(poles, steps, strength=0.0)[1]
    if path is not None:
        draw(states[:, 0], spikes, path, frames)
    return {"poles": poles, "stand": int(np.sum(stood == steps)), "stand_without_a_tenth": int(np.sum(worse == steps)),
            "stand_without_pushes": int(np.sum(idle == steps)),
            "angle_deg": float(np.degrees(states[:, stood == steps, 2].std()))}  # fmt: skip


def draw(states, spikes, path, frames):
    """Save the first cart and its neurons: a GIF that shows every second interval, or its last frame for a .png."""
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation, PillowWriter

    figure, (cart, raster) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", width_ratios=(1, 1.3))
    colors = np.array(["C0", "C3", "0.5"])[np.digitize(spikes[:, 1], (M, 2 * M))]

    def frame(n):
        (x, _, angle, _), now = states[n], 0.02 * (n + 1)
        cart.clear(), raster.clear()
        cart.plot([-2.4, 2.4], [0, 0], "k", lw=1)
        cart.plot(x, 0.06, "ks", ms=18)
        cart.plot([x, x + np.sin(angle)], [0.1, 0.1 + np.cos(angle)], "C1", lw=5, solid_capstyle="round")
        cart.set(xlim=(-2.6, 2.6), ylim=(-0.3, 1.6), aspect="equal", yticks=(), xlabel="m", title=f"{now:.1f} s")
        shown = (spikes[:, 0] < 1e3 * now) & (spikes[:, 0] >= 1e3 * now - 1000) & (spikes[:, 1] < 2 * M + 60)
        raster.scatter(1e-3 * spikes[shown, 0], spikes[shown, 1], s=3, c=colors[shown], marker="|")
        raster.set(xlim=(now - 1, now), ylim=(-1, 2 * M + 60), yticks=(M / 2, 1.5 * M, 2 * M + 30), xlabel="time (s)")
        raster.set(yticklabels=("push left", "push right", "state (60)"))

    if str(path).endswith(".gif"):
        FuncAnimation(figure, frame, range(0, len(states), 2)[:frames]).save(path, PillowWriter(fps=25), dpi=80)
    else:
        frame(len(states) - 1)
        figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    for key, value in main(path="pole.gif").items():
        print(f"{key:24s}{value:g}")
