# SPDX-License-Identifier: Apache-2.0
"""The commands. Each module wires one command together and has its entry point."""

import warnings

# Whoever sets MIGPROG_CONCURRENCY=eventlet knows this; eventlet would repeat it at each start.
warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
