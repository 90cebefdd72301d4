// Where a trace ends: a service that continues what it reads from the headers.

import { createServer } from "node:http";
import { Client, RunTree } from "langsmith";
import { traceable, withRunTree } from "langsmith/traceable";

process.stdin.resume().on("end", () => process.exit(0));

const client = new Client();

const callModel = traceable(async (messages) => "42", { name: "javascript model", run_type: "llm", client });

const answer = traceable(async (question) => callModel([{ role: "user", content: question }]), {
  name: "javascript answers",
  client,
});

const server = createServer(async (request, response) => {
  try {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { question } = JSON.parse(body);
    const parent = RunTree.fromHeaders(request.headers);
    const text = await (parent ? withRunTree(parent, () => answer(question)) : answer(question));
    response.setHeader("content-type", "application/json").end(JSON.stringify({ answer: text }));
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
});

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/answer`));
