# SPDX-License-Identifier: Apache-2.0
"""Recordings of migrations: writing them, replaying them, and judging what would have been said."""
