# SPDX-License-Identifier: Apache-2.0
"""Real migrations, steered and not: does each policy act when it must, and only then?"""
