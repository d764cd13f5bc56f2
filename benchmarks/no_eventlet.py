# SPDX-License-Identifier: Apache-2.0
"""Import this first: libraries then find threads, and none imports eventlet."""

from migprog import concurrency

concurrency.prefer_threads()
