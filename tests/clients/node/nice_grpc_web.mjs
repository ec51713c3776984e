// nice-grpc-web. It has no deadlines of its own, so the one of a call is kept by the server alone.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ClientError, createChannel, createClient, Metadata } from "nice-grpc-web";

import { EdgeService } from "./gen/reprise/edge/v1/edge_service_pb.js";
import { listen } from "./listen.mjs";

const CANCELLED = 1;

/** A method as nice-grpc-web wants it described. */
function described(method) {
  const { input, output } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: false,
    responseStream: method.methodKind === "server_streaming",
    requestSerialize: (value) => toBinary(input, create(input, value)),
    requestDeserialize: (bytes) => fromBinary(input, bytes),
    responseSerialize: (value) => toBinary(output, create(output, value)),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
    options: {},
  };
}

const play = (baseUrl, request, { signal, timeoutMs }) => {
  const client = createClient({ play: described(EdgeService.method.play) }, createChannel(baseUrl));
  const metadata = Metadata(timeoutMs ? { "grpc-timeout": `${timeoutMs}m` } : {});
  return client.play(request, { signal, metadata });
};

await listen(play, (error) => {
  if (error.name === "AbortError") return { code: CANCELLED, message: error.message };
  if (error instanceof ClientError) return { code: error.code, message: error.details };
  throw error;
});
