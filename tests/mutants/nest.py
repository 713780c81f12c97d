"""Faults in the backend ``nest``: what it hands to NEST, when, and how it reads what comes back."""

from __future__ import annotations

from mutants.kit import Mutant

_DEVICES = "backends/nest_backend/devices.py"
_DELIVERY = "backends/nest_backend/delivery.py"
_ENGINE = "backends/nest_backend/engine.py"
_LINEAR = "backends/nest_backend/linear.py"


def _on_nest(name: str, breaks: str, file: str, old: str, new: str, *first: str, **more: object) -> Mutant:
    return Mutant(name, breaks, file, old, new, "nest", first, **more)  # type: ignore[arg-type]


MUTANTS = (
    _on_nest(
        "nest_listed_spikes_early",
        "Spikes of sources leave one step early.",
        _DEVICES,
        "times = self.timing.clock.ms(steps[order] + self.shift + 1)",
        "times = self.timing.clock.ms(steps[order] + self.shift)",
        "lif_drives",
    ),
    _on_nest(
        "nest_poisson_counts_late",
        "Poisson counts arrive one step late.",
        _DEVICES,
        "shift = self.timing.lead - self.timing.delay + 1\n",
        "shift = self.timing.lead - self.timing.delay + 2\n",
        "Poisson input: constant, per neuron, varying in time",
    ),
    _on_nest(
        "nest_multiplicities_lost",
        "Several Poisson spikes in one step count as one.",
        _DEVICES,
        '{"spike_times": times[s], "spike_multiplicities": counts[s]}',
        '{"spike_times": times[s], "spike_multiplicities": np.minimum(counts[s], 1)}',
        "Poisson input: constant, per neuron, varying in time",
    ),
    _on_nest(
        "nest_currents_late",
        "Currents that vary in time come one step late.",
        _DEVICES,
        "times = self.timing.clock.ms(np.arange(first, stop) + shift)",
        "times = self.timing.clock.ms(np.arange(first, stop) + shift + 1)",
        "lif_drives",
    ),
    _on_nest(
        "nest_stamps_late",
        "Spikes are stamped at the end of their step, as NEST does.",
        _ENGINE,
        "self.held += [np.stack([t - 1 - lead, s - FIRST], axis=1) for t, s in parts]",
        "self.held += [np.stack([t - lead, s - FIRST], axis=1) for t, s in parts]",
        "lif_interval",
    ),
    _on_nest(
        "nest_samples_late",
        "Samples are labelled at the end of their step.",
        _ENGINE,
        "self.sampled[k].append((times - 1 - lead, values[sampler.names[0]]))",
        "self.sampled[k].append((times - lead, values[sampler.names[0]]))",
        "lif_drives",
    ),
    _on_nest(
        "nest_delay_longer",
        "Every delay is one step longer.",
        _DELIVERY,
        "np.asarray(clock.ms(e.delay), dtype=np.float64)",
        "np.asarray(clock.ms(e.delay + 1), dtype=np.float64)",
        "lif_drives",
    ),
    _on_nest(
        "nest_receptors_swapped",
        "All spikes go to the first numbered port.",
        _DELIVERY,
        'spec["receptor_type"] = port[post]',
        'spec["receptor_type"] = np.minimum(port[post], 1)',
        "test_same_spikes_in_every_run",
    ),
    _on_nest(
        "nest_multapse_dropped",
        "Of several connections between two neurons the first is made.",
        _DELIVERY,
        "            post = np.asarray(e.post, dtype=np.int64)\n            weight = np.array(",
        "            pairs = (np.asarray(e.pre, np.int64) << 32) | np.asarray(e.post, np.int64)\n"
        "            keep = np.sort(np.unique(pairs, return_index=True)[1])\n"
        "            pick = lambda x, k=keep: x[k] if np.ndim(x) else x\n"
        "            e = Edges(e.start, e.pre[keep], e.post[keep], pick(e.weight), pick(e.delay))\n"
        "            post = np.asarray(e.post, dtype=np.int64)\n            weight = np.array(",
        "rules: all to all, one to one, fixed probability, in-degree, out-degree, total number",
    ),
    _on_nest(
        "nest_refractory_longer",
        "The refractory period is one step longer.",
        _LINEAR,
        '"t_ref": Clock(n.dt).ms(n.refractory)',
        '"t_ref": Clock(n.dt).ms(n.refractory + 1)',
        "lif_drives",
    ),
    _on_nest(
        "nest_reset_unshifted",
        "The reset is not measured from the resting potential.",
        _LINEAR,
        '"V_reset": v_reset - rest,',
        '"V_reset": v_reset + 0.0 * rest,',
        "lif_drives",
    ),
    _on_nest(
        "nest_takes_gt",
        "A threshold v > v_th is handed to NEST, which tests v >= V_th.",
        _LINEAR,
        '    if op != "ge":\n',
        '    if op not in ("ge", "gt"):\n',
    ),
    _on_nest(
        "nest_takes_any_scheme",
        "Cells integrated by Euler or Runge-Kutta are handed to NEST's exact integration.",
        _LINEAR,
        "    if method in _EXPLICIT:\n",
        "    if method in ():\n",
        "nir_lif",
    ),
    _on_nest(
        "nest_clamp_unseen",
        "Cells that clamp other variables are handed to NEST, which clamps the potential alone.",
        _LINEAR,
        '        if var != v:\n            differences.append(f"{var} stands still while refractory (clamp)',
        '        if var == v + v:\n            differences.append(f"{var} stands still while refractory (clamp)',
    ),
    _on_nest(
        "nest_depression_of_another_scale",
        "NEST's alpha is depression over potentiation; it gets the depression.",
        "backends/nest_backend/learning.py",
        '"alpha": depression / rate',
        '"alpha": depression',
        "learning with dendritic delays, as NEST's STDP",
    ),
    _on_nest(
        "nest_trace_of_the_target_by_default",
        "The time constant of the target's trace is left as NEST has it.",
        "backends/nest_backend/engine.py",
        '{"tau_minus": self.learners[p.name].tau_minus}',
        '{"tau_minus": 20.0}',
        "learning with dendritic delays, as NEST's STDP",
    ),
)
