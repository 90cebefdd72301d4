"""Where a trace begins: a traced function asks the service whose URL is the argument."""

import sys

import httpx
from langsmith import Client, get_current_run_tree, traceable

from lifetime import end_with_stdin

client = Client()


@traceable(name="python prepares", client=client)
def prepare(question):
    return question.strip()


@traceable(
    name="python asks",
    client=client,
    tags=["blue", "green one"],
    # What a header cannot hold as it is.
    metadata={"user": 'Jürgen "J" O\'Hara; a=b, c', "discount": "5%", "visits": 7, "nested": {"list": [1, None, True]}},
)
def ask(url, question):
    question = prepare(question)
    headers = get_current_run_tree().to_headers()
    response = httpx.post(url, json={"question": question}, headers=headers, timeout=20, trust_env=False)
    response.raise_for_status()
    return response.json()["answer"]


end_with_stdin()
print(ask(sys.argv[1], " What is the answer? "))
client.flush()
