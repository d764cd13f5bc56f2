# SPDX-License-Identifier: Apache-2.0
"""The HTTP API: the native API at the root, the Nova-compatible one below ``/v2.1``."""
