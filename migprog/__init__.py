# SPDX-License-Identifier: Apache-2.0
"""migprog: observes live migrations of OpenStack servers while they run and after they ended."""

# The service's type in the catalog, in the microversion header and in error codes.
SERVICE_TYPE = "migration-progress"
