// Requests to the server: one after the other, with the token and the session in headers.

import { decodeFrame } from "./frame.js";

const fragment = new URLSearchParams(location.hash.slice(1));
const token = fragment.get("token") ?? "";
export const linkInAddress = fragment.get("state");

let session = "";
let last = Promise.resolve();

async function send(action, body, headers) {
  const response = await fetch(`api/${action}`, {
    method: "POST",
    headers: { "plainnet-token": token, "plainnet-session": session, ...headers },
    body,
  }).catch(() => { throw new Error("The server has ended: run plainnet play again."); });
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({ error: "the server failed" }));
    throw Object.assign(new Error(error), { status: response.status });
  }
  const binary = response.headers.get("content-type") === "application/octet-stream";
  return binary ? response.arrayBuffer() : response.json();
}

// Wait for earlier requests, so that answers come in the order of the questions.
function queued(action, body, headers) {
  const answer = last.then(() => send(action, body, headers));
  last = answer.catch(() => {});
  return answer;
}

export const call = (action, body = {}) => queued(action, JSON.stringify(body), {});
export const frameOf = async (action, body) => decodeFrame(await call(action, body));
export const upload = (file) => queued("upload", file, { "plainnet-name": encodeURIComponent(file.name) });

export async function open(link) {
  const answer = await call("open", link ? { link } : {});
  session = answer.session;
  return answer;
}

// The address that opens this state again; without the token, which belongs to this server.
export const addressOf = (link, withToken) =>
  `${location.origin}/#${withToken ? `token=${token}&` : ""}state=${link}`;
