"""Where a trace ends: a service that continues what the SDK's middleware reads from the headers."""

import asyncio
import socket

import uvicorn
from fastapi import FastAPI
from langsmith import Client, traceable
from langsmith.middleware import TracingMiddleware
from pydantic import BaseModel

from lifetime import end_with_stdin

client = Client()
app = FastAPI()
app.add_middleware(TracingMiddleware)


class Body(BaseModel):
    question: str


@app.post("/answer")
async def answer_request(body: Body):
    return {"answer": await answer(body.question)}


@traceable(name="python answers", client=client)
async def answer(question):
    return await call_model([{"role": "user", "content": question}])


@traceable(name="python model", run_type="llm", client=client)
async def call_model(messages):
    return "42"


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/answer", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))

    def stop():
        server.should_exit = True

    end_with_stdin(stop)
    asyncio.run(server.serve(sockets=[listener]))
    client.flush()


main()
