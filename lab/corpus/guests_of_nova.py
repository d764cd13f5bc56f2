# SPDX-License-Identifier: Apache-2.0
"""The guests that the lab migrates beside a real Nova, at the bandwidth that Nova is given there.

Their memory's size and pace are those of tools/nova-lab. Forecasts may be tuned with these.

Their recordings have no processor time; those of VCPU have it. The latter guests do as software
does: they wake seldom, and write whole pages.
"""

from typing import Any

from lab.corpus.scenario import FOR_EVER_MS, Scenario, steady

NOVA = (
    Scenario("quiet", "nova-quiet-half-of-12", 256, 8, steady(0.5), 12, fill_mib=200),
    Scenario("slow", "nova-slow-5-of-12", 256, 60, steady(5), 12, fill_mib=230),
    Scenario("disk", "nova-disk-150-quiet", 256, 8, steady(0.5), 12, fill_mib=200, disk_mib=150),
    Scenario("pair", "nova-pair-a-quiet", 256, 8, steady(0.5), 12, fill_mib=200, together="nova"),
    Scenario("pair", "nova-pair-b-slow", 256, 60, steady(5), 12, fill_mib=230, together="nova"),
)

AS_SOFTWARE: dict[str, Any] = {"timer_hz": 20, "words_per_page": 1024}
VCPU = (
    Scenario("idle", "vcpu-idle", 256, 8, steady(0), 12, fill_mib=200, **AS_SOFTWARE),
    Scenario(
        "quiet", "vcpu-quiet-half-of-12", 256, 8, steady(0.5), 12, fill_mib=200, **AS_SOFTWARE
    ),
    Scenario("slow", "vcpu-slow-5-of-12", 256, 60, steady(5), 12, fill_mib=230, **AS_SOFTWARE),
    Scenario(
        "bursts",
        "vcpu-bursts-5s-of-12",
        256,
        60,
        ((5000, 12), (5000, 0)),
        12,
        fill_mib=230,
        **AS_SOFTWARE,
    ),
    Scenario(
        "late",
        "vcpu-busy-after-20s",
        256,
        60,
        ((20_000, 0.5), (FOR_EVER_MS, 5)),
        12,
        fill_mib=230,
        **AS_SOFTWARE,
    ),
    Scenario(
        "disk",
        "vcpu-disk-150-quiet",
        256,
        8,
        steady(0.5),
        12,
        fill_mib=200,
        disk_mib=150,
        **AS_SOFTWARE,
    ),
    Scenario(
        "words",
        "vcpu-slow-5-of-12-a-word-a-page",
        256,
        60,
        steady(5),
        12,
        fill_mib=230,
        timer_hz=20,
    ),
    Scenario("ticks", "vcpu-quiet-half-of-12-100-hz", 256, 8, steady(0.5), 12, fill_mib=200),
    Scenario("fast", "vcpu-quiet-of-60", 1024, 8, steady(0.5), 60, fill_mib=900),
    Scenario(
        "fast", "vcpu-slow-25-of-60", 1024, 300, steady(25), 60, fill_mib=900, words_per_page=1024
    ),
)
