// Connect's client for browsers, speaking gRPC-web.

import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { EdgeService } from "./gen/reprise/edge/v1/edge_service_pb.js";
import { listen } from "./listen.mjs";

const play = (baseUrl, request, { signal, timeoutMs }) =>
  createClient(EdgeService, createGrpcWebTransport({ baseUrl })).play(request, { signal, timeoutMs });

await listen(play, (error) => {
  const { code, rawMessage } = ConnectError.from(error);
  return { code, message: rawMessage };
});
