# SPDX-License-Identifier: Apache-2.0
"""Real guests, forecast before they migrate: does what was said come true?"""
