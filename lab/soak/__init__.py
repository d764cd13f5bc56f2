# SPDX-License-Identifier: Apache-2.0
"""Thousands of short migrations through real processes, to see what each of them leaves."""
