# SPDX-License-Identifier: Apache-2.0
"""migprog: observes live migrations of OpenStack servers while they run and after they ended."""
