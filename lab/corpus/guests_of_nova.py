# SPDX-License-Identifier: Apache-2.0
"""The guests that the lab migrates beside a real Nova, at the bandwidth that Nova is given there.

Their memory's size and pace are those of tools/nova-lab. Forecasts may be tuned with these.
"""

from lab.corpus.scenario import Scenario, steady

NOVA = (
    Scenario("quiet", "nova-quiet-half-of-12", 256, 8, steady(0.5), 12, fill_mib=200),
    Scenario("slow", "nova-slow-5-of-12", 256, 60, steady(5), 12, fill_mib=230),
    Scenario("disk", "nova-disk-150-quiet", 256, 8, steady(0.5), 12, fill_mib=200, disk_mib=150),
    Scenario("pair", "nova-pair-a-quiet", 256, 8, steady(0.5), 12, fill_mib=200, together="nova"),
    Scenario("pair", "nova-pair-b-slow", 256, 60, steady(5), 12, fill_mib=230, together="nova"),
)
