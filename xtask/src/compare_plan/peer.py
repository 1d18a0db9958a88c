"""The peer of `cargo xtask compare-plan`: the same model and the same results with NumPy, vectorised over all samples.

Usage: peer.py TECHNOLOGIES_JSON percentile|sort. Prints JSON of the same form as the example `million_samples`, without what is
not sampled. Percentiles and bins come from numpy.percentile and numpy.histogram, or from sorting each result, which
is quicker where NumPy's sort uses the processor's widest vectors.
"""

import json
import sys

import numpy

SAMPLES = 1 << 20
BATCHES = 16
BINS = 40
QUANTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)
Z90 = 1.2815515655446004
SORTING = sys.argv[2] == "sort"


def draw(generator, shape):
    ((kind, parameters),) = shape.items()
    if kind == "uniform":
        return generator.uniform(*parameters, SAMPLES)
    if kind == "triangular":
        return generator.triangular(*parameters, SAMPLES)
    if kind == "pert":
        low, mode, high = parameters
        values = generator.beta(
            1 + 4 * (mode - low) / (high - low), 1 + 4 * (high - mode) / (high - low), SAMPLES
        )
        values *= high - low
        values += low
        return values
    median, p90 = parameters
    return generator.lognormal(numpy.log(median), numpy.log(p90 / median) / Z90, SAMPLES)


def estimated(batches):
    return {
        "mean": float(batches.mean()),
        "standard_error": float(batches.std(ddof=1) / numpy.sqrt(BATCHES)),
    }


def share(condition):
    return estimated(numpy.count_nonzero(condition.reshape(BATCHES, -1), axis=1) * (BATCHES / SAMPLES))


def by_percentile(values):
    percentiles = numpy.percentile(values, QUANTILES)
    counts, _ = numpy.histogram(values, BINS, (percentiles[1], percentiles[-2]))
    return percentiles, counts


def by_sorting(values):
    ordered = numpy.sort(values)
    places = numpy.array(QUANTILES) / 100 * (SAMPLES - 1)
    below = places.astype(int)
    above = numpy.minimum(below + 1, SAMPLES - 1)
    percentiles = ordered[below] + (places - below) * (ordered[above] - ordered[below])
    edges = numpy.linspace(percentiles[1], percentiles[-2], BINS + 1)
    return percentiles, numpy.diff(numpy.searchsorted(ordered, edges))


def spread(values):
    """Of values that are all finite, as all are here."""
    result = estimated(values.reshape(BATCHES, -1).mean(axis=1))
    result["sd"] = float(values.std())
    percentiles, counts = (by_sorting if SORTING else by_percentile)(values)
    low, p1, p5, p25, p50, p75, p95, p99, high = percentiles.tolist()
    result.update(min=low, p5=p5, p25=p25, p50=p50, p75=p75, p95=p95, max=high)
    result["chart"] = {"from": p1, "to": p99, "shares": (counts / SAMPLES).tolist()}
    return result


def mapped(of, factor, shift):
    """The spread of a multiple and a sum, which needs no second look at the samples."""
    places = ("mean", "min", "p5", "p25", "p50", "p75", "p95", "max")
    result = {key: of[key] * factor + shift if key in places else of[key] for key in of}
    result["sd"] *= factor
    result["standard_error"] *= factor
    chart = of["chart"]
    result["chart"] = {
        "from": chart["from"] * factor + shift,
        "to": chart["to"] * factor + shift,
        "shares": chart["shares"],
    }
    return result


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        technologies = json.load(file)
    generator = numpy.random.default_rng(0)
    totals = numpy.zeros((4, SAMPLES))
    priorities = []
    results = []
    for technology in technologies:
        weights = technology["weights"]
        benefit, cost, effort, failure, impact = (
            draw(generator, technology[figure])
            for figure in ("benefit", "cost", "effort", "failure", "impact")
        )
        ratio = benefit / cost
        monthly_risk = numpy.multiply(failure, impact, out=impact)
        priority = ratio - 1
        priority /= monthly_risk
        priorities.append(priority)
        failure *= -weights["failure"]
        failure += 1
        benefit *= failure
        benefit *= weights["benefit"]
        cost *= weights["cost"]
        effort *= weights["effort"]
        cost += effort
        scale = weights["failure"] * weights["impact"]
        value = benefit - cost
        risk = numpy.multiply(monthly_risk, scale, out=effort)
        value -= risk
        if technology["chosen"]:
            for total, values in zip(totals, (value, benefit, cost, risk)):
                total += values
        result = {
            "benefit_cost": spread(ratio),
            "monthly_risk": spread(monthly_risk),
            "priority": spread(priority),
            "benefit": spread(benefit),
            "cost": spread(cost),
            "value": spread(value),
            "worthwhile": share(value > 0),
        }
        result["roi"] = mapped(result["benefit_cost"], 1, -1)
        result["risk"] = mapped(result["monthly_risk"], scale, 0)
        results.append(result)
    ranks(results, priorities)
    value, benefit, cost, risk = totals
    portfolio = {
        "value": spread(value),
        "benefit": spread(benefit),
        "cost": spread(cost),
        "risk": spread(risk),
        "roi": mapped(spread(benefit / cost), 1, -1),
        "loss": share(value < 0),
    }
    json.dump({"summary": {"samples": SAMPLES, "portfolio": portfolio, "technologies": results}}, sys.stdout)


def ranks(results, priorities):
    """Places by comparing pairs, which is quicker here than sorting each sample."""
    outranked = numpy.zeros((len(priorities), BATCHES))
    for technology, own in enumerate(priorities):
        for other, theirs in enumerate(priorities[:technology]):
            ahead = numpy.count_nonzero((own > theirs).reshape(BATCHES, -1), axis=1)
            outranked[other] += ahead
            outranked[technology] += SAMPLES // BATCHES - ahead
    leader = numpy.zeros(SAMPLES, dtype=numpy.uint8)
    leading = priorities[0].copy()
    for technology, own in enumerate(priorities[1:], 1):
        numpy.copyto(leader, technology, where=own > leading)
        numpy.maximum(leading, own, out=leading)
    for technology, result in enumerate(results):
        result["first"] = share(leader == technology)
        result["mean_rank"] = estimated(1 + outranked[technology] * (BATCHES / SAMPLES))


if __name__ == "__main__":
    main()
