# SPDX-License-Identifier: Apache-2.0
"""Real migrations while things break: is each of them in the record, once, as it really ended?"""
