# SPDX-License-Identifier: Apache-2.0
"""The Nova-compatible API below ``/v2.1``, for existing clients of Nova.

It follows nova 34.0.0, microversions 2.1 to 2.104. ``doc/source/nova-api.rst`` lists the
differences.
"""
