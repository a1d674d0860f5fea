"""Print the first two `sh` blocks of a README, one command a line.

They promise a newcomer that one line does everything, so a block of more lines is an error.
"""

import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^```sh[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)

readme = Path(sys.argv[1])
blocks = [block.strip() for block in BLOCK.findall(readme.read_text(encoding="utf-8"))[:2]]
if len(blocks) < 2:
    sys.exit(f"{readme}: wanted two sh blocks, found {len(blocks)}")
for block in blocks:
    if not block or "\n" in block:
        sys.exit(f"{readme}: this sh block must be one line:\n{block}")
    print(block)
