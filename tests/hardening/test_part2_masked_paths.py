"""Part 2: Docker masks what each processor tells of its heat (a side channel to what others do on
the host); the list of here had not that."""

from __future__ import annotations

from pathlib import Path

from skep.runtime.bundle import MASKED_PATHS, masked_paths


def test_the_heat_of_each_processor_that_the_host_has_is_masked(tmp_path: Path) -> None:
    for name in ("cpu0/thermal_throttle", "cpu1/thermal_throttle", "cpu2/cache", "cpuidle"):
        (tmp_path / "devices/system/cpu" / name).mkdir(parents=True)
    assert masked_paths(tmp_path) == (
        *MASKED_PATHS,
        "/sys/devices/system/cpu/cpu0/thermal_throttle",
        "/sys/devices/system/cpu/cpu1/thermal_throttle",
    )


def test_a_host_that_does_not_tell_it_has_nothing_to_mask(tmp_path: Path) -> None:
    assert masked_paths(tmp_path) == MASKED_PATHS
