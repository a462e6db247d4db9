"""The Sharpe ratio's statistics against the papers' own numbers, two other implementations, and their limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.naive import luck as naive
from tickloom.sharpe import (
    Moments,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    independent_trials,
    luck_alone,
    mean_correlation,
    minimum_track_record_length,
    moments,
    probabilistic_sharpe_ratio,
    sharpe_ratios,
)
from tickloom.tries import Tries

PAPER = Moments(1250, 2.5 / math.sqrt(250), -3.0, 10.0)
"""Bailey and López de Prado (2014), A numerical example: five years of days, a yearly Sharpe ratio of 2.5."""
VARIANCE = 0.5 / 250


def test_the_deflated_sharpe_ratio_is_that_of_the_papers_example() -> None:
    assert expected_maximum_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe_ratio(PAPER, 100, VARIANCE) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe_ratio(PAPER, 46, VARIANCE) == pytest.approx(0.9505, abs=5e-5)


def test_with_normal_returns_88_trials_leave_what_46_skewed_ones_do() -> None:
    normal = Moments(PAPER.n, PAPER.sharpe, 0.0, 3.0)
    assert deflated_sharpe_ratio(normal, 88, VARIANCE) == pytest.approx(0.9505, abs=5e-5)


def test_the_probabilistic_sharpe_ratio_is_that_of_the_papers_example() -> None:
    # Bailey and López de Prado (2012), section 5: two years of months, skewness -2.448, kurtosis 10.164
    assert probabilistic_sharpe_ratio(Moments(24, 0.458, -2.448, 10.164)) == pytest.approx(0.913, abs=5e-4)
    assert probabilistic_sharpe_ratio(Moments(24, 0.458, 0.0, 3.0)) == pytest.approx(0.982, abs=5e-4)


@pytest.mark.parametrize(("a_year", "years"), [(250, 2.73), (52, 2.83), (12, 3.24)])
def test_the_minimum_track_record_length_is_that_of_the_papers_table(a_year: int, years: float) -> None:
    # the same paper, section 4: a yearly ratio of 2 to be held above 1 with 95 % confidence, normal returns
    normal = Moments(100, 2 / math.sqrt(a_year), 0.0, 3.0)
    needed = minimum_track_record_length(normal, 1 / math.sqrt(a_year))
    assert needed is not None
    assert needed / a_year == pytest.approx(years, abs=5e-3)


def test_the_minimum_track_record_length_is_that_of_the_papers_skewed_example() -> None:
    # the same place: monthly returns with a skewness of -0.72 and a kurtosis of 5.78 need 4.99 years, not 3.24
    needed = minimum_track_record_length(Moments(36, 2 / math.sqrt(12), -0.72, 5.78), 1 / math.sqrt(12))
    assert needed is not None
    assert needed / 12 == pytest.approx(4.99, abs=5e-3)


@pytest.mark.parametrize(
    ("ratio", "benchmark", "skewness", "expected"),
    [
        (1.14, 1.0, 0.0, 228.73497),  # mlfinlab
        (2 / math.sqrt(12), 1 / math.sqrt(12), -0.72, 52.37369),  # R's PerformanceAnalytics, which leaves kurtosis out
    ],
)
def test_the_minimum_track_record_length_equals_two_other_implementations(
    ratio: float, benchmark: float, skewness: float, expected: float
) -> None:
    needed = minimum_track_record_length(Moments(100, ratio, skewness, 3.0), benchmark)
    assert needed == pytest.approx(expected, rel=1e-7)


def test_independent_trials_equal_those_by_numpys_correlations() -> None:
    random = np.random.default_rng(7)
    returns = random.normal(0, 0.01, (300, 40)) + random.normal(0, 0.01, (300, 1))
    between = np.corrcoef(returns, rowvar=False)
    rho = between[np.triu_indices(40, 1)].mean()
    assert mean_correlation(returns) == pytest.approx(rho, rel=1e-12)
    assert independent_trials(40, mean_correlation(returns)) == pytest.approx(rho + (1 - rho) * 40, rel=1e-12)


SAMPLES = st.builds(Moments, st.integers(3, 5000), st.floats(0.02, 1.0), st.floats(-1.0, 1.0), st.floats(3.0, 30.0))


@settings(max_examples=200, deadline=None)
@given(SAMPLES, st.floats(-0.5, 0.5), st.floats(2.0, 1e6), st.floats(1e-6, 0.1))
def test_all_ratios_and_lengths_equal_the_slow_twins(
    sample: Moments, benchmark: float, n_trials: float, variance: float
) -> None:
    whole = (sample.n, sample.sharpe, sample.skewness, sample.kurtosis)
    luck = naive.expected_maximum(n_trials, variance**0.5)
    assert expected_maximum_sharpe(n_trials, variance) == pytest.approx(luck, rel=1e-8, abs=1e-12)
    expected = naive.probabilistic_sharpe_ratio(whole, benchmark)
    assert probabilistic_sharpe_ratio(sample, benchmark) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    deflated = naive.probabilistic_sharpe_ratio(whole, luck)
    assert deflated_sharpe_ratio(sample, n_trials, variance) == pytest.approx(deflated, rel=1e-6, abs=1e-9)
    needed = minimum_track_record_length(sample, benchmark)
    if sample.sharpe - benchmark < 1e-3:
        assert needed is None or needed > 1e4
    else:
        assert needed == pytest.approx(naive.minimum_track_record(whole, benchmark, 0.95), rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=40))
def test_moments_equal_the_slow_twins(returns: list[float]) -> None:
    sample = moments(np.array(returns))
    if np.std(returns) > 1e-6:
        assert sample is not None
        ours = (sample.n, sample.sharpe, sample.skewness, sample.kurtosis)
        assert ours == pytest.approx(naive.moments(returns), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("sample", "n_trials", "variance", "probabilistic", "deflated"),
    [
        (Moments(250, 0.1, -0.5, 5.0), 20, 0.002, 0.937320574390259, 0.5909017009313492),
        (Moments(1000, 0.05, 0.3, 4.2), 500, 0.001, 0.9441638756463767, 0.06939575687790506),
    ],
)
def test_both_ratios_equal_fynance_2_13_1(
    sample: Moments, n_trials: int, variance: float, probabilistic: float, deflated: float
) -> None:
    assert probabilistic_sharpe_ratio(sample) == pytest.approx(probabilistic, rel=1e-12)
    assert deflated_sharpe_ratio(sample, n_trials, variance) == pytest.approx(deflated, rel=1e-12)


@pytest.mark.parametrize(
    ("n_trials", "variance", "expected"), [(20, 0.002, 0.08500224368431025), (500, 0.001, 0.09652939755978117)]
)
def test_the_expected_maximum_equals_ml4t_diagnostic_0_1(n_trials: int, variance: float, expected: float) -> None:
    # Its deflated ratio itself differs: it takes the variance of the estimate at the luck, not at the ratio measured.
    assert expected_maximum_sharpe(n_trials, variance) == pytest.approx(expected, rel=1e-12)


def test_the_track_record_needed_is_the_one_that_makes_the_probability() -> None:
    needed = minimum_track_record_length(PAPER, 0.1, 0.95)
    assert needed is not None
    exactly = Moments(math.ceil(needed), PAPER.sharpe, PAPER.skewness, PAPER.kurtosis)
    before = Moments(math.floor(needed), PAPER.sharpe, PAPER.skewness, PAPER.kurtosis)
    assert probabilistic_sharpe_ratio(before, 0.1) < 0.95 <= probabilistic_sharpe_ratio(exactly, 0.1)  # type: ignore[operator]


def test_no_record_is_long_enough_for_a_ratio_below_the_benchmark() -> None:
    assert minimum_track_record_length(PAPER, PAPER.sharpe) is None
    assert minimum_track_record_length(PAPER, 1.0) is None


def test_one_trial_is_no_search_and_a_little_more_never_less_than_that() -> None:
    assert expected_maximum_sharpe(1.0, VARIANCE) == 0.0
    assert deflated_sharpe_ratio(PAPER, 1.0, VARIANCE) == probabilistic_sharpe_ratio(PAPER)
    found = [expected_maximum_sharpe(n, VARIANCE) for n in (1.0001, 1.01, 1.2, 2.0, 10.0, 1e4, 1e300)]
    assert found == sorted(found)
    assert all(0.0 <= luck < math.inf for luck in found)


def test_moments_are_those_of_their_definitions_and_kurtosis_is_raw() -> None:
    sample = moments(np.array([1.0, -1.0] * 500))
    assert sample is not None
    assert (sample.sharpe, sample.skewness) == (0.0, 0.0)
    assert sample.kurtosis == pytest.approx(1.0)
    normal = moments(np.random.default_rng(1).normal(0.01, 1, 200_000))
    assert normal is not None
    assert normal.kurtosis == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("returns", [[], [0.1], [0.1, 0.2], [0.0] * 50, [0.01] * 50])
def test_returns_that_are_too_few_or_never_vary_have_no_moments(returns: list[float]) -> None:
    assert moments(np.array(returns)) is None


def test_the_luck_of_a_real_search_is_what_the_formula_expects() -> None:
    random = np.random.default_rng(5)
    best = [sharpe_ratios(random.normal(0, 0.01, (250, 50))).max() for _ in range(400)]
    assert np.mean(best) == pytest.approx(expected_maximum_sharpe(50, 1 / 250), rel=0.02)


def best_of(returns: np.ndarray, earlier: Tries) -> tuple[float, Tries, int]:
    """Return the deflated ratio of the best trial, the tries of its search, and its column."""
    ratios = sharpe_ratios(returns)
    tries, best = Tries.of(ratios.tolist(), len(returns)), int(ratios.argmax())
    sample = moments(returns[:, best])
    assert sample is not None
    deflated = probabilistic_sharpe_ratio(sample, luck_alone(tries, earlier, len(returns)))
    assert deflated is not None
    return deflated, tries, best


@pytest.mark.parametrize("n_trials", [1, 2, 8, 64])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.97])
def test_noise_is_called_skill_in_one_search_of_twenty_at_most_however_alike_its_trials(
    n_trials: int, correlation: float
) -> None:
    random, n_found = np.random.default_rng(4), 0
    for _ in range(600):
        common, own = random.normal(0, 0.01, (200, 1)), random.normal(0, 0.01, (200, n_trials))
        found, _, _ = best_of(common * correlation**0.5 + own * (1 - correlation) ** 0.5, Tries())
        n_found += found >= 0.95
    assert n_found / 600 < 0.05 + 2 * (0.05 * 0.95 / 600) ** 0.5


def test_the_best_of_noise_sent_in_again_alone_or_varied_is_not_called_skill() -> None:
    random, n_found = np.random.default_rng(8), 0
    for _ in range(200):
        returns = random.normal(0, 0.01, (200, 100))
        _, tries, best = best_of(returns, Tries())
        again = returns[:, [best]]
        n_found += best_of(again, tries)[0] >= 0.95
        n_found += best_of(again + random.normal(0, 0.0005, (200, 9)), tries)[0] >= 0.95
    assert n_found <= 0.05 * 400


def test_copies_of_one_trial_do_not_water_down_the_luck_of_the_others() -> None:
    noise = Tries.of(np.random.default_rng(3).normal(0, 0.1, 1000).tolist(), 101)
    copies = Tries.of([0.0] * 100_000, 101)
    alone = luck_alone(noise, Tries(), 101)
    assert luck_alone(noise, copies, 101) >= alone
    assert luck_alone(copies, noise, 101) >= alone


def test_searches_over_records_of_any_length_are_added_up_in_standard_errors() -> None:
    random = np.random.default_rng(6)
    short = Tries.of(random.normal(0, 1 / 30**0.5, 4000).tolist(), 31)
    long = Tries.of(random.normal(0, 1 / 1000**0.5, 4000).tolist(), 1001)
    together = Tries.together((short, long))
    assert together == Tries.together((long, short))
    assert together.variance == pytest.approx(1.0, abs=0.06)
    assert luck_alone(long, short, 1001) == pytest.approx(expected_maximum_sharpe(8000, 1 / 1000), rel=0.04)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1, 1) | st.just(math.nan), max_size=12), st.integers(0, 12))
def test_tries_equal_the_slow_twin_wherever_they_are_cut(ratios: list[float], cut: int) -> None:
    whole = Tries.of(ratios, 50)
    parts = Tries.together((Tries.of(ratios[:cut], 50), Tries.of(ratios[cut:], 50)))
    assert (whole.n, whole.n_measured) == (parts.n, parts.n_measured) == (len(ratios), sum(r == r for r in ratios))
    expected = naive.variance_of_ratios(ratios, 50)
    assert whole.variance == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert parts.variance == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(3, 20), st.integers(1, 6)), elements=st.floats(-0.1, 0.1)))
def test_independent_trials_and_ratios_equal_the_slow_twin(panel: np.ndarray) -> None:
    ratios = sharpe_ratios(panel)
    varied = panel[:, panel.std(axis=0, ddof=1) > 1e-9]
    ours = independent_trials(varied.shape[1], mean_correlation(varied))
    assert ours == pytest.approx(naive.independent_trials(varied.tolist()), rel=1e-6, abs=1e-6)
    for trial in range(panel.shape[1]):
        if panel[:, trial].std(ddof=1) > 1e-9:
            assert ratios[trial] == pytest.approx(naive.sharpe(panel[:, trial].tolist()), rel=1e-6, abs=1e-9)


def test_copies_of_one_trial_are_one_and_unlike_ones_count_each() -> None:
    def amount_to(returns: np.ndarray) -> float:
        return independent_trials(returns.shape[1], mean_correlation(returns))

    random = np.random.default_rng(2)
    one = random.normal(0, 1, (500, 1))
    assert amount_to(np.repeat(one, 9, axis=1)) == pytest.approx(1.0)
    assert amount_to(random.normal(0, 1, (5000, 9))) > 8.5
    assert amount_to(np.hstack([one, -one])) == 2.0
    assert amount_to(one) == 1.0
