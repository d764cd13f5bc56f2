# SPDX-License-Identifier: Apache-2.0
"""``/v2.1``: what we know, in the words of Nova's API, for clients that speak it.

The rules are those of nova 34.0.0, microversions 2.1 to 2.104. ``doc/source/nova-api.rst`` says
where we differ.
"""
