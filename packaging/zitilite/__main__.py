"""`python -m zitilite`."""

import sys

from zitilite import main

sys.exit(main())
