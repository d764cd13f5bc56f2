# SPDX-License-Identifier: Apache-2.0
"""Steering: from what an operator can bear and what is known of a migration, the smallest action
that suffices. ``doc/source/steering.rst`` describes it."""
