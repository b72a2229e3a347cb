"""For each family of numeric cases, the call of ours that must give the expected values.

The keys are the beginnings of the cases' ids; the longest that fits is taken. A function gets the
case's inputs and answers in the shape of its ``expected``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import hypergeom, norm

from triune.stats import (
    asymptotic,
    bernoulli,
    beta_binomial,
    count_ratio,
    cuped,
    empirical_bernstein,
    gamma_exponential,
    gamma_poisson,
    group_sequential,
    multiple,
    normal_mixture,
    proportions,
    quantile_ab,
    quantile_effect,
    quantile_process,
    quantile_stitching,
    rank_sum,
    sample_ratio,
    stitching,
    tick_ratio,
)
from triune.stats.betting import Betting
from triune.stats.comparison import Comparison, Side
from triune.stats.effect import Arm, Effect, absolute, log_ratio, relative
from triune.stats.fixed_horizon import percent, welch, z_test
from triune.stats.ratio_metric import ratio
from triune.stats.sequential_effect import sequential
from triune.stats.summary import Summary

CASES = Path(__file__).parents[2] / "cases"

Inputs = dict[str, Any]
Call = Callable[[Inputs], Any]


# Boundaries, as in confseq


def one_sided(function: Callable[..., float]) -> Call:
    return lambda inputs: [function(*inputs["args"])]


def with_sides(function: Callable[..., float]) -> Call:
    """confseq's last two arguments are alpha_opt and whether the mixture is one-sided."""

    def call(inputs: Inputs) -> list[float]:
        *args, alpha_opt, sided = inputs["args"]
        return [function(*args, alpha_opt=alpha_opt, one_sided=sided)]

    return call


def quantile_ab_shifted(inputs: Inputs) -> list[float]:
    a = np.arange(1, 1001)
    b = a + inputs["b_offset"]
    return [quantile_ab.p_value(a, b, inputs["quantile"], inputs["t_opt"], inputs["alpha_opt"])]


def quantile_ab_scaled(inputs: Inputs) -> list[float]:
    z = 100 * np.exp(0.6 * norm.ppf((np.arange(1, 2001) - 0.5) / 2000))
    return [quantile_ab.p_value(z, inputs["scale"] * z, 0.9, 500)]


def bernoulli_interval(inputs: Inputs) -> tuple[float, float]:
    return bernoulli.interval(
        inputs["successes"], inputs["n"], inputs["alpha"], inputs["t_opt"], alpha_opt=0.05
    )


BOUNDED = [(i * 7919 % 1000) / 999 for i in range(1, 201)]
"""The 200 values in [0, 1] of the cases on bounded means, looked at after 50 and 200."""


def empirical_bernstein_ends(inputs: Inputs) -> list[float]:
    # confseq 0.0.11 spends alpha/4 on either side; we spend alpha/2, so ours at half its alpha.
    states = [empirical_bernstein.Spread.of(BOUNDED[:n]) for n in (50, 200)]
    return [
        end
        for state in states
        for end in empirical_bernstein.interval(state, inputs["alpha"] / 2, inputs["v_opt"])
    ]


def betting_ends(inputs: Inputs) -> list[float]:
    game, ends = Betting(inputs["alpha"]), []
    for n, value in enumerate(BOUNDED, start=1):
        game.add(value)
        if n in (50, 200):
            ends += game.interval()
    return ends


# A/B tests, as in gbstats


def gb(found: Comparison, effect: Effect) -> Inputs:
    return {
        "expected": found.estimate,
        "ci": [found.low, found.high],
        "stddev": effect.error,
        "pValue": found.p,
    }


def gb_mean(arm: Inputs) -> Arm:
    return Arm.of_mean(Summary.from_sums(arm["n"], [arm["sum"]], [[arm["sumsq"]]]))


def gb_means(inputs: Inputs) -> tuple[Arm, Arm]:
    return gb_mean(inputs["a"]), gb_mean(inputs["b"])


def gb_ratios(inputs: Inputs) -> tuple[Arm, Arm]:
    def arm(of: Inputs) -> Arm:
        products = [[of["m"][1], of["md"]], [of["d"][1]]]
        return ratio(Summary.from_sums(inputs["n"], [of["m"][0], of["d"][0]], products))

    return arm(inputs["a"]), arm(inputs["b"])


def gb_quantiles(inputs: Inputs) -> tuple[Arm, Arm]:
    def arm(of: Inputs) -> Arm:
        return quantile_effect.quantile(of["n"], of["q"], of["lo"], of["hi"])

    return arm(inputs["a"]), arm(inputs["b"])


def gb_proportions(inputs: Inputs) -> tuple[Arm, Arm]:
    control = inputs.get("a") or inputs["control"]
    candidate = inputs.get("b") or inputs["canary"]
    return proportions.proportion(*control), proportions.proportion(*candidate)


def gb_test(
    arms: Callable[[Inputs], tuple[Arm, Arm]],
    of: Callable[[Arm, Arm], Effect],
    test: Callable[[Effect], Comparison],
) -> Call:
    def call(inputs: Inputs) -> Inputs:
        effect = of(*arms(inputs))
        return gb(test(effect), effect)

    return call


def fixed(side: Side = Side.BOTH) -> Callable[[Effect], Comparison]:
    return lambda effect: welch(effect, 0.05, side)


def anytime(n_star: float = 5000, side: Side = Side.BOTH) -> Callable[[Effect], Comparison]:
    return lambda effect: sequential(effect, 0.05, n_star, side)


def gb_capped(side: Side) -> Callable[[Effect], Comparison]:
    """gbstats searches the one-sided p-value below one half only and answers 0.4999 else."""

    def test(effect: Effect) -> Comparison:
        found = sequential(effect, 0.05, 5000, side)
        return Comparison(found.estimate, found.low, found.high, min(found.p, 0.4999))

    return test


def gb_cuped_means(inputs: Inputs) -> Inputs:
    def arm(of: Inputs) -> Summary:
        products = [[of["post"][1], of["cross"]], [of["pre"][1]]]
        return Summary.from_sums(of["n"], [of["post"][0], of["pre"][0]], products)

    control, candidate = cuped.adjusted(arm(inputs["a"]), arm(inputs["b"]))
    effect = relative(control, candidate, raw_slope=True)
    return gb(sequential(effect, 0.05, 5000), effect)


def gb_cuped_ratios(inputs: Inputs) -> Inputs:
    def arm(of: list[Any]) -> Summary:
        m, d, m_pre, d_pre, (m_m, d_d, pre, post, m_dpre, mpre_d) = of
        products = [
            [m[1], post, m_m, m_dpre],
            [d[1], mpre_d, d_d],
            [m_pre[1], pre],
            [d_pre[1]],
        ]
        return Summary.from_sums(inputs["n"], [m[0], d[0], m_pre[0], d_pre[0]], products)

    control, candidate = arm(inputs["a"]), arm(inputs["b"])
    theta = cuped.averaged_theta(control, candidate)
    effect = relative(*cuped.adjusted(control, candidate, theta))
    return gb(sequential(effect, 0.05, 5000), effect)


def gb_cuped_golden(inputs: Inputs) -> Inputs:
    def arm(of: str) -> Summary:
        names = ("m_post", "d_post", "m_pre", "d_pre")
        return Summary.of(*(inputs[f"{name}_{of}"] for name in names))

    effect = relative(*cuped.adjusted(arm("a"), arm("b"), theta=0.5))
    return {"point": effect.value, "se": effect.error}


def gb_rho(inputs: Inputs) -> Inputs:
    alpha, n_star = inputs["alpha"], inputs["N_star"]
    both = asymptotic.tuning(alpha, n_star)
    one = asymptotic.tuning(alpha, n_star, one_sided=True)
    return {
        "rho": both,
        "halfwidth_n1000": asymptotic.radius(1000, alpha, both),
        "rho_one_sided": one,
        "halfwidth_one_sided_n1000": asymptotic.radius(1000, alpha, one, one_sided=True),
    }


# Fixed horizon, as in spotify-confidence and tea-tasting


def spotify(found: Comparison) -> Inputs:
    return {
        "difference": found.estimate,
        "ci_lower": found.low,
        "ci_upper": found.high,
        "p-value": found.p,
    }


def spotify_means(test: Callable[[Effect, float], Comparison]) -> Call:
    return lambda inputs: spotify(
        test(absolute(gb_mean(inputs["control"]), gb_mean(inputs["treat"])), 0.05)
    )


def spotify_cuped(inputs: Inputs) -> Inputs:
    def arm(of: Inputs) -> Summary:
        products = [[of["y2"], of["xy"]], [of["x2"]]]
        return Summary.from_sums(of["n"], [of["y"], of["x"]], products)

    def by_n(of: Summary) -> Summary:
        # spotify-confidence divides the covariate's moments by n, those of y by n - 1.
        cov = of.cov * (of.n - 1) / of.n
        cov[0, 0] = of.cov[0, 0]
        return Summary(of.n, of.mean, cov)

    control, treat = arm(inputs["control"]), arm(inputs["treat"])
    theta = cuped.pooled_theta(control + treat)
    effect = absolute(*cuped.adjusted(by_n(control), by_n(treat), theta))
    return {**spotify(z_test(effect, 0.01)), "std_err": effect.error}


def tea(columns: list[str]) -> Call:
    def product(of: Inputs, x: str, y: str) -> float:
        if x == y:
            return float(of[f"{x}_sq"])
        return float(of.get(f"{x}*{y}", of.get(f"{y}*{x}")))

    def summary(of: Inputs) -> Summary:
        products = [[product(of, x, y) for y in columns[i:]] for i, x in enumerate(columns)]
        return Summary.from_sums(of["n"], [of[column] for column in columns], products)

    def call(inputs: Inputs) -> Inputs:
        control, treat = summary(inputs["control"]), summary(inputs["treat"])
        if len(columns) == 1:
            arms = Arm.of_mean(control), Arm.of_mean(treat)
        else:
            arms = cuped.adjusted(control, treat)
        effect = absolute(*arms)
        plain, rel = welch(effect, 0.05), percent(welch(log_ratio(*arms), 0.05))
        return {
            "control": arms[0].value,
            "treatment": arms[1].value,
            "effect_size": plain.estimate,
            "effect_size_ci_lower": plain.low,
            "effect_size_ci_upper": plain.high,
            "rel_effect_size": rel.estimate,
            "rel_effect_size_ci_lower": rel.low,
            "rel_effect_size_ci_upper": rel.high,
            "pvalue": plain.p,
            "statistic": effect.z,
        }

    return call


# Sample ratio and counts


def srm_looks(data: list[list[int]], inputs: Inputs) -> list[sample_ratio.SampleRatio]:
    """The state after each look; the cases give the units since the last one."""
    totals = accumulate(data, lambda old, new: [x + y for x, y in zip(old, new, strict=True)])
    looks, state = [], sample_ratio.SampleRatio()
    for counts in totals:
        state = sample_ratio.step(state, counts, inputs["null"], inputs["concentration"])
        looks.append(state)
    return looks


def srm_regression(inputs: Inputs) -> Inputs:
    last = srm_looks(inputs["data"], inputs)[-1]
    return {"p": last.p, "bayes_factor": last.bayes_factor}


def savvi(inputs: Inputs) -> list[Inputs]:
    looks, a, b = [], 0, 0
    for more_a, more_b in inputs["event_count_increments"]:
        a, b = a + more_a, b + more_b
        found = count_ratio.compare(a, b, inputs["rho"][1], 0.05, inputs["k"])
        looks.append(
            {
                "p": found.inverse_odds,
                "log_odds": found.log_odds,
                "ci": [[found.low, found.high]],
            }
        )
    return looks


# Rank sums


def kayenta(inputs: Inputs) -> Inputs:
    found = rank_sum.compare(inputs["experiment"], inputs["control"], inputs["conf"])
    return {"lower": found.low, "upper": found.high, "estimate": found.estimate}


def mann_whitney(inputs: Inputs) -> Inputs:
    """The data is that of another case, or of one that its file does not hold."""
    if inputs["same_data"] == "kayenta-mw-180-0.98":
        data = json.loads((CASES / "kayenta-180.json").read_text())
    else:
        cases = json.loads((CASES / "statistics.json").read_text())["cases"]
        data = next(case["inputs"] for case in cases if case["id"] == inputs["same_data"])
    found = rank_sum.compare(data["experiment"], data["control"])
    return {"U": found.u, "p": found.p}


# The kernel of the harm test


def expected_ratio(inputs: Inputs) -> Inputs:
    n_a, n_b = inputs["n_control"], inputs["n_canary"]
    k = inputs["total_events"]
    low, trials, share = tick_ratio.envelope(n_a, n_b, k)
    alternatives = [tick_ratio.alternative(inputs["odds_ratio"])]
    mean = 0.0
    for b in range(low, low + trials + 1):
        ratio_of_b = math.exp(tick_ratio.log_ratios(b - low, trials, share, alternatives, 0.0)[0])
        mean += float(hypergeom.pmf(b, n_a + n_b, k, n_b)) * ratio_of_b
    return {"E": mean}


CALLS: dict[str, Call] = {
    "confseq-bound-01-normal_mixture_bound": with_sides(normal_mixture.bound),
    "confseq-bound-02-normal_log_mixture": one_sided(normal_mixture.log_mixture),
    "confseq-bound-05-gamma_exponential_mixture_bound": one_sided(gamma_exponential.bound),
    "confseq-bound-06-gamma_poisson_log_mixture": one_sided(gamma_poisson.log_mixture),
    "confseq-bound-08-beta_binomial_log_mixture": with_sides(beta_binomial.log_mixture),
    "confseq-bound-10-beta_binomial_log_mixture": one_sided(beta_binomial.log_mixture),
    "confseq-bound-13-poly_stitching_bound": one_sided(stitching.bound),
    "confseq-lil": lambda i: [quantile_process.lil_radius(i["t"], i["alpha"], i["t_min"], i["A"])],
    "confseq-doublestitch-": lambda i: [
        quantile_stitching.bound(i["p"], i["t"], i["alpha"], i["t_opt"])
    ],
    "confseq-quantileAB-lognormal-": quantile_ab_scaled,
    "confseq-quantileAB-0": quantile_ab_shifted,
    "confseq-bern-": bernoulli_interval,
    "confseq-conjmix_empbern_cs": empirical_bernstein_ends,
    "confseq-betting_cs": betting_ends,
    "gb-t2-prop": gb_test(gb_proportions, relative, fixed()),
    "gb-seq-prop": gb_test(gb_proportions, relative, anytime()),
    "gb-seq-1000": gb_test(gb_means, relative, anytime(1000)),
    "gb-seq-cuped": gb_cuped_means,
    "gb-seq-ratio-cuped": gb_cuped_ratios,
    "gb-ratio-cuped-golden-improving": gb_cuped_golden,
    "gb-1s-gt-rel": gb_test(gb_means, relative, fixed(Side.GREATER)),
    "gb-1s-lt-abs": gb_test(gb_means, absolute, fixed(Side.LESS)),
    "gb-seq1s-gt-rel": gb_test(gb_means, relative, gb_capped(Side.GREATER)),
    "gb-seq1s-lt-abs": gb_test(gb_means, absolute, gb_capped(Side.LESS)),
    "gb-ratio-t-relative": gb_test(gb_ratios, relative, fixed()),
    "gb-ratio-t-absolute": gb_test(gb_ratios, absolute, fixed()),
    "gb-quantile-TwoSidedTTest-relative": gb_test(gb_quantiles, relative, fixed()),
    "gb-quantile-SequentialTwoSidedTTest-absolute": gb_test(gb_quantiles, absolute, anytime()),
    "gb-canary-": gb_test(gb_proportions, absolute, anytime()),
    "gb-rho-": gb_rho,
    "gb-srm-": lambda i: {"p": sample_ratio.chi_square(i["users"], i["weights"])},
    "gb-holm": lambda i: {"p_adj": multiple.holm(i["p"])},
    "spotify-gst-": lambda i: {
        "bounds": group_sequential.bounds(i["t"], i["alpha"], sides=i["sides"])
    },
    "spotify-StudentsTTest-": spotify_means(welch),
    "spotify-ZTest-": spotify_means(z_test),
    "spotify-ChiSquared-": lambda i: spotify(
        proportions.chi_square(i["control"], i["treat"], 0.05)
    ),
    "spotify-cuped-linreg": spotify_cuped,
    "ssrm-regression": srm_regression,
    "ssrm-": lambda i: {"p": [look.p for look in srm_looks(i["data"], i)]},
    "savvi-poisson-": savvi,
    "lindon-malek-closed-": lambda i: {
        "log_bf": count_ratio.log_bayes_factor(
            i["control_events"], i["canary_events"], i["rho"], i["k"]
        )
    },
    "kayenta-mw-": kayenta,
    "scipy-mwu-": mann_whitney,
    "tea-rpu": tea(["revenue"]),
    "tea-cuped-rpu": tea(["revenue", "revenue_covariate"]),
    "tea-cuped-ops": tea(["orders", "sessions", "orders_covariate", "sessions_covariate"]),
    "derived-evalue-": expected_ratio,
}
