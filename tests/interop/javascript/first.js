// Where a trace begins: a traced function asks the service whose URL is the argument.

import { Client } from "langsmith";
import { getCurrentRunTree, traceable } from "langsmith/traceable";

// Whoever started this went away when standard input ends.
process.stdin.resume().on("end", () => process.exit(1)).unref();

const client = new Client();

const prepare = traceable((question) => question.trim(), { name: "javascript prepares", client });

const ask = traceable(
  async (url, question) => {
    const prepared = await prepare(question);
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...getCurrentRunTree().toHeaders() },
      body: JSON.stringify({ question: prepared }),
    });
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    return (await response.json()).answer;
  },
  {
    name: "javascript asks",
    client,
    tags: ["blue", "green one"],
    // What a header cannot hold as it is.
    metadata: { user: 'Jürgen "J" O\'Hara; a=b, c', discount: "5%", visits: 7, nested: { list: [1, null, true] } },
  },
);

console.log(await ask(process.argv[2], " What is the answer? "));
await client.awaitPendingTraceBatches();
process.exit(0);
