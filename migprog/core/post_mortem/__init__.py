# SPDX-License-Identifier: Apache-2.0
"""What a migration's record and history say in hindsight: where the time went, what would have
helped, how good the forecasts were, who did what. ``doc/source/api.rst`` describes it.

``summary`` puts it together from ``timeline``, ``phases``, ``measures``, ``forecasts`` and
``actions``; ``sentences`` says it in five sentences. What is not known is None, with a reason.
"""
