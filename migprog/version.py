# SPDX-License-Identifier: Apache-2.0
"""Which migprog this is: what pbr made of git's tags when it was installed."""

import pbr.version

version_info = pbr.version.VersionInfo("migprog")
# With what makes a build between two releases: 1.2.0.dev34 is none of the 1.2.0.
RELEASE: str = version_info.release_string()
