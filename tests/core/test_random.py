"""Named streams: the same for the same seed and name, others otherwise, and the global generators untouched."""

import hashlib

import torch

from lnas.core.random import derived_seed, seeded, stream


def test_a_derived_seed_is_the_top_63_bits_of_a_hash_of_seed_and_name() -> None:
    for seed, name in [(0, "network"), (-3, "alpha/normal"), (2**64, "")]:
        bits = int(hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()[:16], 16)
        assert derived_seed(seed, name) == bits // 2 < 2**63


def test_streams_differ_by_seed_and_by_name_alone() -> None:
    draws = {
        (seed, name): tuple(torch.rand(3, generator=stream(seed, name)).tolist())
        for seed in (0, 1, 10)
        for name in ("a", "0/a", "b")
    }
    assert len(set(draws.values())) == len(draws)
    for (seed, name), values in draws.items():
        assert tuple(torch.rand(3, generator=stream(seed, name)).tolist()) == values


def test_seeded_code_draws_from_its_stream_and_the_global_one_goes_on() -> None:
    torch.manual_seed(1)
    first, second = torch.rand(2), torch.rand(2)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(2), first)
    with seeded(7, "network"):
        inside = torch.rand(4)
    assert torch.equal(torch.rand(2), second)
    assert torch.equal(inside, torch.rand(4, generator=stream(7, "network")))


def test_the_global_generator_is_put_back_after_an_error() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    try:
        with seeded(7, "network"):
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(torch.rand(2), expected)


def test_seeded_leaves_the_generators_of_accelerators_alone(monkeypatch) -> None:
    called = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: called.append(seed))
    torch.manual_seed(3)
    assert called == [3]  # what torch's own function does
    with seeded(7, "network"):
        pass
    assert called == [3]
