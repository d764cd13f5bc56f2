# SPDX-License-Identifier: Apache-2.0
"""The commands. Each module wires one together, and is what its entry point imports."""

import warnings

# Whether to run on eventlet is said by MIGPROG_CONCURRENCY; not at each start again by eventlet.
warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
