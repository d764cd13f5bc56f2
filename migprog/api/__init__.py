# SPDX-License-Identifier: Apache-2.0
"""The HTTP API: the native one at the root, Nova's below ``/v2.1``."""

# Of the native API, in the microversion header and in error codes.
SERVICE_TYPE = "migration-progress"
