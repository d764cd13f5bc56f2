# SPDX-License-Identifier: Apache-2.0
"""Which migprog this is: what pbr made of git's tags when it was installed."""

import pbr.version

version_info = pbr.version.VersionInfo("migprog")
