// Google's grpc-web: one unary call, argv[2]: {baseUrl, service, method, request, format, timeoutMs?}. It wants a browser's
// XMLHttpRequest. Prints {code, message, answer} as one line of JSON.

import { fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import grpcWeb from "grpc-web";
import xhr2 from "xhr2";

import { BalancerService } from "./gen/reprise/balancer/v1/balancer_service_pb.js";
import { CatalogService } from "./gen/reprise/catalog/v1/catalog_service_pb.js";

globalThis.XMLHttpRequest = xhr2;

const { baseUrl, service, method, request, format, timeoutMs } = JSON.parse(process.argv[2]);
const { input, output, name, parent } = { BalancerService, CatalogService }[service].method[method];
const path = `/${parent.typeName}/${name}`;
const descriptor = new grpcWeb.MethodDescriptor(
  path,
  "unary",
  Object,
  Object,
  (message) => toBinary(input, message),
  (bytes) => fromBinary(output, bytes),
);
const metadata = timeoutMs ? { deadline: String(Date.now() + timeoutMs) } : {};
const client = new grpcWeb.GrpcWebClientBase({ format });
let said;
try {
  const answer = await client.unaryCall(`${baseUrl}${path}`, fromJson(input, request), metadata, descriptor);
  said = { code: 0, message: "", answer: toJson(output, answer) };
} catch (error) {
  said = { code: error.code, message: error.message, answer: null };
}
process.stdout.write(`${JSON.stringify(said)}\n`);
