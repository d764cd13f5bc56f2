# SPDX-License-Identifier: Apache-2.0
import hypothesis

# How fast an example is says something of the machine, nothing of the code.
hypothesis.settings.register_profile(
    "migprog", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("migprog")
