// One act of the official JavaScript SDK against the embedded Key Vault: what to do comes as JSON on
// standard input, what the SDK gave or threw goes as JSON to standard output.
// Vault and login keep their real names: only the connection is led to the emulator, as by curl's
// --connect-to, so that TLS (NODE_EXTRA_CA_CERTS) and the SDK's check of the challenge stay as they are.
import { Agent } from "node:https";
import { json } from "node:stream/consumers";
import { connect } from "node:tls";

import { EnvironmentCredential } from "@azure/identity";
import { CertificateClient } from "@azure/keyvault-certificates";

const { port, vault, act, ...details } = await json(process.stdin);

const agent = new Agent();
agent.createConnection = (options) => connect({ ...options, host: "127.0.0.1", port });
const everyHostIsHere = {
  name: "everyHostIsHere",
  sendRequest: (request, next) => next(Object.assign(request, { agent })),
};
const options = {
  additionalPolicies: [{ policy: everyHostIsHere, position: "perRetry" }],
  retryOptions: { retryDelayInMs: 1 },
};
const client = new CertificateClient(vault, new EnvironmentCredential(options), options);
const often = { intervalInMs: 1 };

const acts = {
  import: ({ name, pfx, ...rest }) => client.importCertificate(name, Buffer.from(pfx, "base64"), rest),
  get: ({ name }) => client.getCertificate(name),
  getVersion: ({ name, version }) => client.getCertificateVersion(name, version),
  list: () => pagesOf(client.listPropertiesOfCertificates()),
  listVersions: ({ name }) => pagesOf(client.listPropertiesOfCertificateVersions(name)),
  update: ({ name, version, ...rest }) => client.updateCertificateProperties(name, version, rest),
  getPolicy: ({ name }) => client.getCertificatePolicy(name),
  updatePolicy: ({ name, policy }) => client.updateCertificatePolicy(name, policy),
  delete: ({ name }) => endOf(client.beginDeleteCertificate(name, often)),
  listDeleted: () => pagesOf(client.listDeletedCertificates()),
  recover: ({ name }) => endOf(client.beginRecoverDeletedCertificate(name, often)),
  purge: ({ name }) => client.purgeDeletedCertificate(name),
};

async function pagesOf(list) {
  const pages = [];
  for await (const page of list.byPage()) pages.push(page);
  return pages;
}

async function endOf(begun) {
  return (await begun).pollUntilDone();
}

async function told() {
  try {
    return { given: await acts[act](details) };
  } catch ({ name, code, statusCode, message }) {
    return { thrown: { name, code, statusCode, message } };
  }
}

Buffer.prototype.toJSON = function () {
  return this.toString("base64");
};
console.log(JSON.stringify(await told()));
