"""Makes `python -m stepscope_systems.rgbt_detection stage1` work, which `stepscope check` runs."""

import sys

from stepscope_systems.rgbt_detection.command import main

sys.exit(main(sys.argv[1:]))
