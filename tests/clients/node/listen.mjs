// Plays one rendition as argv says and prints, as one line of JSON, what a listener with this client heard.

import { createHash } from "node:crypto";

/**
 * `play(request, options)` gives the answers of one Play stream; `failure(error)` its gRPC code and message.
 * argv[2]: {baseUrl, request, timeoutMs?, cancelAfterBytes?}. A cancelled run stays until its standard input ends: leaving would
 * close the connection, and cancelling has to do that by itself.
 */
export async function listen(play, failure) {
  const { baseUrl, request, timeoutMs, cancelAfterBytes } = JSON.parse(process.argv[2]);
  const controller = new AbortController();
  const hash = createHash("sha256");
  const heard = { code: 0, message: "", bytes: 0, announced: null };
  const take = (answer) => {
    if (answer.message.case === "info") heard.announced = Number(answer.message.value.lengthBytes);
    if (answer.message.case !== "data") return;
    heard.bytes += answer.message.value.length;
    hash.update(answer.message.value);
    if (cancelAfterBytes && heard.bytes >= cancelAfterBytes) controller.abort();
  };
  try {
    const wanted = { ...request, offsetBytes: BigInt(request.offsetBytes ?? 0) };
    for await (const answer of play(baseUrl, wanted, { signal: controller.signal, timeoutMs })) take(answer);
  } catch (error) {
    Object.assign(heard, failure(error));
  }
  process.stdout.write(`${JSON.stringify({ ...heard, sha256: hash.digest("hex") })}\n`);
  if (!cancelAfterBytes) process.exit();
  process.stdin.on("end", () => process.exit()).resume();
}
