"""The filter that prompts go through, away from the rates of the recorded one."""

import pytest
import torch
from audiocraft.data.resampling import resample_sinc


def test_rates_without_a_common_divisor_are_resampled_too() -> None:
    t = torch.arange(44101) / 44101.0
    wav = torch.sin(2 * torch.pi * 440 * t)[None]

    y = resample_sinc(wav, 44101, 32000)

    expected = torch.sin(2 * torch.pi * 440 * torch.arange(32000) / 32000.0)
    assert (1, 32000) == y.shape
    assert float((y[0] - expected)[1000:-1000].abs().max()) < 1e-3


@pytest.mark.parametrize("rates", [(44100, 32000), (48000, 32000), (22050, 32000), (8000, 32000)])
def test_resampling_keeps_what_both_rates_can_hold(rates: tuple[int, int]) -> None:
    old, new = rates
    wav = torch.sin(2 * torch.pi * 440 * torch.arange(old) / old)[None]

    y = resample_sinc(wav, old, new)

    expected = torch.sin(2 * torch.pi * 440 * torch.arange(new) / new)
    assert (1, new) == y.shape
    assert float((y[0] - expected)[1000:-1000].abs().max()) < 1e-3
    torch.testing.assert_close(
        resample_sinc(torch.ones(1, 900), old, new), torch.ones(1, 900 * new // old)
    )
    assert resample_sinc(wav, old, old) is wav
