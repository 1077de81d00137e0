"""`ctl`: the operator's command line."""

import os

VERSION = "0.1.0"

# Failed connections are explained in words; gRPC reads this when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
