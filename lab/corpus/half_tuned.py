# SPDX-License-Identifier: Apache-2.0
"""The half of the corpus that forecasts may be tuned with.

Columns: physics, name, memory and working set in MiB, pace in MiB/s, bandwidth in MiB/s.
"""

from lab.corpus.scenario import FOR_EVER_MS, Scenario, steady

TUNED = (
    Scenario("idle", "idle-256", 256, 8, steady(0.2), 25),
    # Below the bandwidth, in a set that no iteration dirties as a whole: each leaves the same share
    # of the one before.
    Scenario("steady", "steady-4-of-25", 192, 160, steady(4), 25),
    Scenario("steady", "steady-10-of-20", 192, 160, steady(10), 20),
    Scenario("steady", "steady-22-of-30", 160, 140, steady(22), 30),
    Scenario("just-under", "just-under-36-of-40", 128, 110, steady(36), 40),
    Scenario(
        "just-over",
        "just-over-27-of-25",
        *(128, 100, steady(27), 25),
        actions=((40, "abort", 0),),
    ),
    # Above the bandwidth, but in a set so small that the pause allows for it; then in larger ones.
    Scenario("saturating", "saturating-5-at-20-of-25", 192, 5, steady(20), 25),
    Scenario("saturating", "saturating-8-at-60-of-40", 256, 8, steady(60), 40),
    Scenario(
        "plateau",
        "plateau-16-at-40-of-20",
        *(192, 16, steady(40), 20),
        actions=((35, "abort", 0),),
    ),
    Scenario(
        "plateau",
        "plateau-100-at-50-of-30",
        *(256, 100, steady(50), 30),
        actions=((45, "abort", 0),),
    ),
    Scenario("bursts-short", "bursts-1s-of-30", 192, 120, ((1000, 30), (1500, 2)), 25),
    Scenario("bursts-medium", "bursts-5s-of-45", 224, 80, ((5000, 45), (5000, 1)), 25),
    Scenario("bursts-long", "bursts-15s-of-40", 192, 60, ((15000, 40), (12000, 2)), 25),
    Scenario(
        "ramp-up",
        "ramp-up-2-to-18-of-25",
        *(192, 120),
        ((3500, 2), (2500, 7), (2500, 13), (FOR_EVER_MS, 18)),
        25,
    ),
    Scenario(
        "ramp-up-stuck",
        "ramp-up-5-to-40-of-25",
        *(256, 100, ((9000, 5), (4000, 18), (FOR_EVER_MS, 40)), 25),
        actions=((45, "abort", 0),),
    ),
    Scenario(
        "ramp-down",
        "ramp-down-40-to-3-of-25",
        *(192, 90),
        ((12000, 40), (6000, 30), (6000, 20), (6000, 10), (FOR_EVER_MS, 3)),
        25,
    ),
    Scenario(
        "bandwidth-lowered",
        "bandwidth-40-to-15-in-first-pass",
        *(192, 64, steady(6), 40),
        actions=((3, "bandwidth", 15),),
    ),
    Scenario(
        "bandwidth-lowered",
        "bandwidth-30-to-14-in-iterations",
        *(192, 120, steady(9), 30),
        actions=((8, "bandwidth", 14),),
    ),
    Scenario(
        "bandwidth-lowered-stuck",
        "bandwidth-30-to-10-stuck",
        *(192, 80, steady(15), 30),
        actions=((8, "bandwidth", 10), (48, "abort", 0)),
    ),
    Scenario(
        "bandwidth-raised",
        "bandwidth-10-to-30-in-first-pass",
        *(192, 64, steady(5), 10),
        actions=((8, "bandwidth", 30),),
    ),
    Scenario(
        "bandwidth-raised-freed",
        "bandwidth-15-to-40-freed",
        *(160, 60, steady(20), 15),
        actions=((25, "bandwidth", 40),),
    ),
    Scenario(
        "downtime-raised",
        "downtime-to-2500-frees-40-of-25",
        *(192, 40, steady(35), 25),
        actions=((24, "downtime", 2500),),
    ),
    # As Nova does it, in fewer and faster steps.
    Scenario(
        "downtime-steps",
        "downtime-steps-4s-30-of-20",
        *(160, 30, steady(30), 20),
        actions=tuple((12 + 4 * n, "downtime", 400 + 300 * n) for n in range(8)),
    ),
    Scenario(
        "downtime-large",
        "downtime-4000-60-at-40-of-25",
        *(192, 60, steady(40), 25),
        downtime_ms=4000,
    ),
    Scenario(
        "auto-converge",
        "auto-converge-24-at-35-of-25",
        *(192, 24, steady(35), 25),
        auto_converge=True,
    ),
    Scenario(
        "auto-converge",
        "auto-converge-50-at-40-of-30",
        *(192, 50, steady(40), 30),
        auto_converge=True,
    ),
    Scenario(
        "auto-converge-stuck",
        "auto-converge-stuck-120-at-60-of-25",
        *(224, 120, steady(60), 25),
        auto_converge=True,
        actions=((40, "abort", 0),),
    ),
    Scenario(
        "post-copy",
        "post-copy-in-third-pass-at-20",
        *(224, 110, steady(45), 25),
        post_copy_mib_s=20,
        actions=((17, "postcopy", 0),),
    ),
    Scenario(
        "post-copy",
        "post-copy-in-second-pass-uncapped",
        *(192, 120, steady(40), 25),
        actions=((11, "postcopy", 0),),
    ),
    Scenario(
        "post-copy-at-once",
        "post-copy-at-3s-at-15",
        *(256, 80, steady(30), 25),
        post_copy_mib_s=15,
        actions=((3, "postcopy", 0),),
    ),
    Scenario("block-idle", "block-400-of-idle-128", 128, 8, steady(0.5), 30, disk_mib=400),
    Scenario("block-busy", "block-150-of-busy-192", 192, 100, steady(12), 25, disk_mib=150),
    Scenario("block-busy", "block-350-of-busy-128", 128, 90, steady(20), 30, disk_mib=350),
    Scenario(
        "block-post-copy",
        "block-120-then-post-copy-at-15",
        *(192, 100, steady(35), 25),
        disk_mib=120,
        post_copy_mib_s=15,
        actions=((17, "postcopy", 0),),
    ),
    Scenario(
        "network-stopped-in-first-pass",
        "network-stopped-at-4s",
        *(192, 64, steady(5), 25),
        actions=((4, "network", "stop"), (24, "network", "cont")),
    ),
    Scenario(
        "network-stopped-in-iterations",
        "network-stopped-at-10s",
        *(192, 120, steady(15), 25),
        actions=((10, "network", "stop"), (30, "network", "cont")),
    ),
    Scenario(
        "second-attempt",
        "second-attempt-after-5s",
        *(192, 64, steady(8), 25),
        cancelled_after_s=5,
    ),
    Scenario(
        "aborted-early",
        "aborted-at-3s",
        *(256, 64, steady(8), 25),
        actions=((3, "abort", 0),),
    ),
    Scenario(
        "aborted-in-disk",
        "aborted-in-disk-at-6s",
        *(128, 64, steady(5), 25),
        disk_mib=300,
        actions=((6, "abort", 0),),
    ),
    Scenario(
        "aborted-late",
        "aborted-stuck-at-60s",
        *(160, 70, steady(30), 20),
        actions=((60, "abort", 0),),
    ),
    Scenario("quick", "quick-40-at-40", 96, 4, steady(0.5), 40, fill_mib=40),
    Scenario("zero-pages", "zero-pages-60-of-384", 384, 40, steady(4), 10, fill_mib=60),
    Scenario(
        "side-by-side",
        "side-by-side-a-idle",
        *(160, 8, steady(0.5), 12),
        together="tuned",
    ),
    Scenario(
        "side-by-side",
        "side-by-side-b-busy",
        *(128, 90, steady(12), 18),
        together="tuned",
    ),
    Scenario(
        "side-by-side",
        "side-by-side-c-block",
        *(96, 40, steady(3), 12),
        disk_mib=120,
        together="tuned",
    ),
)
