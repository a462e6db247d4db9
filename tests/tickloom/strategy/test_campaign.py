"""The long campaign of `make fuzz`: a thousand streams of random orders."""

import pytest

from tests.tickloom.strategy import test_engine


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(10))
def test_c3_fuzz_the_books_balance_at_every_fill_and_c1_a_prefix_fills_the_same(block: int) -> None:
    check = test_engine.test_c3_the_books_balance_at_every_fill_and_c1_a_prefix_fills_the_same.hypothesis.inner_test
    for seed in range(100 * block, 100 * block + 100):
        check(seed=seed, cut=1 + seed % 119)
