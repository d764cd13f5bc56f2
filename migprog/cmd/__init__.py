# SPDX-License-Identifier: Apache-2.0
"""The commands. Each module wires one together, and is what its entry point imports."""

import warnings

# Whoever sets MIGPROG_CONCURRENCY=eventlet knows; eventlet would say so at each start again.
warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
