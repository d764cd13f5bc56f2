# SPDX-License-Identifier: Apache-2.0
"""Recorded migrations of many physics, what they are of, and what records them."""
