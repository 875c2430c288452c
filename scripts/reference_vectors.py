#!/usr/bin/env python3
"""Writes tests/statistics/vectors.json: what NumPy, SciPy and pyMannKendall say of made rows.

The tests compare the statistics of the detector, and of the rules beside it in benches/eval, with
these. Run it after a change to the rows, in an environment of its own:

    python3 -m venv venv
    venv/bin/pip install numpy==2.4.6 scipy==1.17.1 pymannkendall==1.4.3
    venv/bin/python scripts/reference_vectors.py

The same versions write the same file.
"""

import json
import pathlib

import numpy
import pymannkendall
from scipy import stats

SEED = 1968
OUTPUT = pathlib.Path(__file__).parent.parent / "tests/statistics/vectors.json"

N_FLOORS = 12
N_SCALES = 8
# Two-sided 90 %: each bound by itself is one at 95 %.
LEVEL = 0.90
FORECAST_SECS = 4 * 3600


def rows(random):
    """Rows of up to twelve values, by name."""
    for n in range(N_FLOORS + 1):
        steps = numpy.arange(n)
        yield f"constant of {n}", numpy.full(n, 4096.0)
        yield f"line of {n}", 5.0 + 3.0 * steps
        yield f"falling line of {n}", 1e6 - 1024.0 * steps
        yield f"steep line of {n}", 2.0**40 * steps
        yield f"square of {n}", 1.0 * steps**2
        yield f"saw of {n}", 100.0 * (steps % 3)
        yield f"steps of {n}", 1000.0 * (steps // 4)
        yield f"level and then rising, {n}", numpy.maximum(0.0, steps - n // 2) * 10
        for which in range(3):
            noise = random.integers(-1000, 1000, n).astype(float)
            yield f"noise of {n}, {which}", noise
            yield f"line and noise of {n}, {which}", 400.0 * steps + noise
            yield f"ties of {n}, {which}", random.integers(0, 4, n).astype(float)
            yield f"fractions of {n}, {which}", random.normal(0.0, 1.0, n)
            yield f"negative of {n}, {which}", -1e6 * random.random(n) - 10.0 * steps
            yield f"large of {n}, {which}", random.integers(2**50, 2**52, n).astype(float)
            yield f"floors in KiB of {n}, {which}", 4.0 * random.integers(50000, 50000 + 50 * (n + 1), n)
            if n > 0:
                outlier = 3.0 * steps
                outlier[random.integers(n)] += random.choice([-1e9, 1e9])
                yield f"line with an outlier of {n}, {which}", outlier


def pair_slopes(times, values):
    first, second = numpy.triu_indices(len(values), 1)
    slopes = (values[second] - values[first]) / (times[second] - times[first])
    return numpy.sort(slopes)


def exact_rank(n):
    """The rank of the best lower bound at 95 %, by the exact distribution of Kendall's S."""
    n_pairs = n * (n - 1) // 2
    orders = numpy.array([1], dtype=object)
    for length in range(1, n):
        orders = numpy.convolve(orders, numpy.ones(length + 1, dtype=object))
    missed = numpy.cumsum(orders) / orders.sum()
    return max([1, *(rank for rank in range(1, n_pairs + 1) if missed[rank - 1] <= 0.05)])


def sen(values):
    """Median, low and high; where SciPy's correction for ties plays no part, SciPy agrees."""
    n = len(values)
    if n < 2:
        return 0.0, 0.0, 0.0
    slopes = pair_slopes(numpy.arange(n), values)
    rank = exact_rank(n)
    found = numpy.median(slopes), slopes[rank - 1], slopes[-rank]
    scipy = stats.theilslopes(values, numpy.arange(n), alpha=LEVEL, method="separate")
    assert found[0] == scipy.slope
    if len(numpy.unique(values)) == n:
        assert found[1:] == (scipy.low_slope, scipy.high_slope), (values, found, scipy)
    return tuple(float(number) for number in found)


def kendall(values, tie):
    """Kendall's S and tau-a, where values that are apart by no more than a tie are equal."""
    n = len(values)
    first, second = numpy.triu_indices(n, 1)
    change = values[second] - values[first]
    score = int(numpy.sum(change > tie) - numpy.sum(change < -tie))
    if n < 2:
        return score, 0.0
    if tie == 0.0:
        assert score == pymannkendall.original_test(values).s
        if len(numpy.unique(values)) == n:
            tau = stats.kendalltau(numpy.arange(n), values).statistic
            assert numpy.isclose(tau, score / len(first), rtol=1e-14, atol=0.0)
    return score, score / len(first)


def until(headroom_bytes, bytes_per_sec):
    return headroom_bytes / bytes_per_sec if bytes_per_sec > 0.0 else None


def row_vectors(random):
    for name, values in rows(random):
        tie = float(random.choice([0.0, 0.0, 1.0, 50.0]))
        score, tau = kendall(values, tie)
        slope, low, high = sen(values)
        step_secs = float(random.choice([5.0, 15.0, 405.0]))
        headroom_bytes = int(random.integers(0, 2**36))
        in_bytes = 1024.0 / step_secs
        yield {
            "name": name,
            "values": values.tolist(),
            "tie": tie,
            "score": score,
            "tau": tau,
            "slope": slope,
            "low": low,
            "high": high,
            "step_secs": step_secs,
            "headroom_bytes": headroom_bytes,
            "soonest_secs": until(headroom_bytes, high * in_bytes),
            "likely_secs": until(headroom_bytes, slope * in_bytes),
            "latest_secs": until(headroom_bytes, low * in_bytes),
        }


def floor_vectors(random):
    """Samples in KiB, one a block, which the sample ends; but one alone does not tell that."""
    for n in [1, 2, 3, 4, 10, 27, 28, 100, 109, 325, 500, 1000]:
        shapes = {
            "noise": random.integers(0, 2**20, n),
            "saw": 1000 * (numpy.arange(n) % 7) + 50 * numpy.arange(n),
            "falling": 10**7 - 100 * numpy.arange(n),
        }
        for shape, samples in shapes.items():
            closed = samples if n > 1 else samples[:0]
            floors = []
            for scale in range(N_SCALES):
                length = 3**scale
                whole = closed[: len(closed) // length * length]
                floors.append(whole.reshape(-1, length).min(axis=1)[-N_FLOORS:].tolist())
            yield {"name": f"{shape} of {n}", "samples_kib": samples.tolist(), "floors_kib": floors}


def trend_vectors(random):
    """Samples at uneven distances, for the rules beside the detector."""
    for n in [10, 11, 20, 35, 60]:
        for step_secs in [15, 60]:
            distances = step_secs + random.integers(-step_secs // 4, step_secs // 4, n)
            times = numpy.cumsum(distances).astype(float)
            noise = random.integers(-(2**20), 2**20, n)
            shapes = {
                "constant": numpy.full(n, 2**28),
                "noise": 2**28 + noise,
                "ties": 2**28 + 2**20 * random.integers(0, 3, n),
                "line": 2**28 + 4096 * times.astype(int),
                "line and noise": 2**28 + 1024 * times.astype(int) + noise,
                "falling": 2**32 - 4096 * times.astype(int) + noise,
                "one step": 2**28 + 2**26 * (numpy.arange(n) > n // 2),
                "small on large": 2**44 + random.integers(0, 4096, n),
            }
            for shape, values in shapes.items():
                in_floats = values.astype(float)
                # Moved to zero first, since SciPy loses digits of what is small on large.
                moved = (values - values[0]).astype(float)
                line = stats.linregress(times - times[-1], moved)
                trend = pymannkendall.original_test(in_floats)
                score, _ = kendall(in_floats, 0.0)
                assert score == trend.s
                yield {
                    "name": f"{shape}, {n} every {step_secs} s",
                    "secs": times.tolist(),
                    "bytes": values.tolist(),
                    "slope": float(line.slope),
                    # A level row has no correlation; here it counts as none.
                    "r_squared": float(line.rvalue**2) if numpy.ptp(moved) > 0.0 else 0.0,
                    "predicted_growth": float(line.intercept + line.slope * FORECAST_SECS - moved[-1]),
                    "z": float(trend.z),
                    "p": float(trend.p),
                    "sen": float(stats.theilslopes(in_floats, times).slope),
                }


def coroot_percent(times, values, limit):
    """Growth in percent an hour by Coroot's check, see benches/eval/baselines/coroot.rs; 0 is no leak."""
    present = ~numpy.isnan(values)
    if present.sum() < 0.8 * len(values):
        return 0.0
    seen_times, seen = times[present], values[present]
    restarts = 1 + numpy.flatnonzero(seen[1:] < 0.5 * seen[:-1])
    runs = numpy.split(numpy.arange(len(seen)), restarts)
    run = max(runs, key=len)
    if len(run) < max(10, len(values) // 3):
        return 0.0
    run_times, run_values = seen_times[run], seen[run]
    line = stats.linregress(run_times - times[-1], run_values)
    is_before = run_times[-1] - run_times >= 15 * 60
    quarter = len(run) - len(run) // 4
    begin = min(quarter, int(numpy.sum(is_before)) - 1) if is_before.any() else 0
    tail = stats.linregress(run_times[begin:], run_values[begin:])
    is_rising = line.slope > 0.0 and tail.slope > 0.0 and tail.slope >= 0.3 * line.slope
    now, before = line.intercept, line.intercept - 3600.0 * line.slope
    least = 0.05 * limit if limit else 50 * 2**20
    if not is_rising or len(run) - begin < 5 or now <= 0.0 or now - before < least:
        return 0.0
    return 100.0 * (now - before) / (before if before > 0.0 else now)


def coroot_vectors(random):
    """An hour of values a minute apart, some of them missing."""
    times = 60.0 * numpy.arange(61)
    for which in range(60):
        rate = 2.0**20 * random.choice([-1.0, 0.5, 1.0, 2.0, 10.0])
        steadiness = random.choice([0.0, 1.0, 5.0])
        walk = steadiness * 2.0**20 * numpy.cumsum(random.normal(0.0, 1.0, 61))
        values = 2.0**30 + rate * times / 60.0 + walk
        if which % 3 == 1:
            plateau = random.integers(10, 60)
            values = numpy.minimum(values, values[plateau])
        if which % 4 == 2:
            restart = random.integers(5, 56)
            values[restart:] -= 0.9 * values[restart]
        values = numpy.maximum(numpy.round(values), 0.0)
        values[random.random(61) < random.choice([0.0, 0.1, 0.2])] = numpy.nan
        limit = random.choice([None, 2**29, 2**31])
        yield {
            "name": f"hour {which}",
            "bytes": [None if numpy.isnan(value) else int(value) for value in values],
            "limit_bytes": limit,
            "percent": float(coroot_percent(times, values, limit)),
        }


def main():
    random = numpy.random.Generator(numpy.random.PCG64(SEED))
    groups = {
        "rows": row_vectors(random),
        "floors": floor_vectors(random),
        "trends": trend_vectors(random),
        "hours": coroot_vectors(random),
    }
    texts = []
    for name, vectors in groups.items():
        lines = ",\n".join(json.dumps(vector, allow_nan=False) for vector in vectors)
        texts.append(f'"{name}": [\n{lines}\n]')
    OUTPUT.write_text("{\n" + ",\n".join(texts) + "\n}\n")


if __name__ == "__main__":
    main()
