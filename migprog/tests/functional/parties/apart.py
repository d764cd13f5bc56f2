# SPDX-License-Identifier: Apache-2.0
"""Provokes cells of the table in this process: those whose names come in lines, with the broker at
the URL given, whose process group is given too. Of each a line says what has failed: JSON, ``null``
where nothing has; one more says at the beginning that this process is ready.

Threads that wait for a broker that does not come back go on connecting to where it was, and write
to the log what becomes of it: for as long as their process lives, which must not be that of tests.
"""

import json
import os
import sys
import traceback

from migprog.tests.functional.parties import CELLS
from migprog.tests.functional.parties.broker import broker


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    # Whatever else is printed is none.
    os.dup2(2, 1)

    def answer(error: str | None) -> None:
        print(json.dumps(error), file=answers, flush=True)

    cells = {each.name: each for each in CELLS}
    answer(None)
    for line in sys.stdin:
        try:
            with broker(sys.argv[1], int(sys.argv[2])) as behind_relay:
                cells[line.strip()].provoke(behind_relay)
        except BaseException:
            answer(traceback.format_exc())
        else:
            answer(None)
    # None of those threads is waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
