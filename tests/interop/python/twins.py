"""Makes the runs of a file through the SDK, so that they can be compared with the same runs made through the crate."""

import json
import sys

from langsmith import Client, trace, traceable

from lifetime import end_with_stdin

end_with_stdin()
client = Client()
with open(sys.argv[1], encoding="utf-8") as file:
    twins = json.load(file)
for twin in twins:
    description = {key: twin[key] for key in ("name", "run_type", "tags", "metadata")}
    if "error" in twin:
        with trace(inputs=twin["inputs"], client=client, **description) as run:
            run.end(error=twin["error"])
    else:
        outputs = dict(twin["outputs"])
        if "usage" in twin:
            outputs["usage_metadata"] = twin["usage"]
        traceable(lambda: outputs, process_inputs=lambda _: twin["inputs"], client=client, **description)()
client.flush()
