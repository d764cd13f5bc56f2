# SPDX-License-Identifier: Apache-2.0
"""What the agent keeps on disk, to go on after a restart."""
