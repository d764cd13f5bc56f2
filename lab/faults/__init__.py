# SPDX-License-Identifier: Apache-2.0
"""Test real migrations while parts fail: does each have one record with its true end?"""
