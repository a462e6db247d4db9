"""What an account has heard by each open, by asking every bar about every open."""


def heard(masks: list[int], ts_open: list[int], ts_close: list[int], latency_us: int) -> list[int]:
    """Return for each bar what its next open is to act on: all signals that arrived since the open before."""
    found = [0] * len(masks)
    for said, mask in enumerate(masks):
        for bar in range(said + 1, len(masks)):
            if ts_open[bar] >= ts_close[said] + latency_us:
                found[bar - 1] |= mask
                break
    return found
