// Program of a JavaScript provider's process: loads one file of the user's and calls it. Node.js only.
// Started as `node node_host.js <descriptor of replies> <file>`: a line of JSON on standard input is a call, a line of JSON on the
// descriptor is its reply. It ends with its standard input.
"use strict";
const fs = require("node:fs");
const readline = require("node:readline");
const { pathToFileURL } = require("node:url");

const replies = Number(process.argv[2]);
const file = process.argv[3];
let loaded;

function reply(value) {
  fs.writeSync(replies, JSON.stringify(value) + "\n");
}

async function exported(name) {
  loaded ??= await import(pathToFileURL(file).href);
  const plain = loaded.default ?? loaded;
  if (name) return loaded[name] ?? plain[name];
  return plain.default ?? plain;
}

// What went wrong, and the last places of the user's own code on the way to it, the innermost first.
function failed(error) {
  const what = `${error?.name ?? "Error"}: ${error?.message ?? error}`;
  const places = String(error?.stack ?? "")
    .split("\n")
    .filter((line) => /^\s+at /.test(line) && !line.includes("node:internal") && !line.includes(__filename))
    .slice(0, 3)
    .map((line) => line.trim().replace(/\(?(?:file:\/\/)?\/(?:[^\/\s]+\/)*/, "("));
  return [what, ...places].join(" | ");
}

// The name that a provider gives itself; null: none.
async function identity({ function: name, arguments: [options] }) {
  const found = await exported(name);
  if (typeof found !== "function" || !found.prototype) return null;
  const provider = new found(options);
  const own = typeof provider.id === "function" ? provider.id() : provider.id;
  return typeof own === "string" && own ? own : null;
}

async function answer({ function: name, arguments: [prompt, context, options] }) {
  const found = await exported(name);
  let provider = found;
  if (typeof found === "function" && found.prototype) provider = new found(options);
  if (provider && typeof provider.callApi === "function") {
    return provider.callApi(prompt, { ...context, logger: console }, { abortSignal: undefined });
  }
  if (typeof found === "function") return found(prompt, context, options);
  throw new Error("the file exports neither a class with callApi nor a function");
}

async function serve() {
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    try {
      const call = JSON.parse(line);
      const value = await (call.identify ? identity(call) : answer(call));
      reply({ value: value === undefined ? null : value });
    } catch (error) {
      reply({ error: failed(error) });
    }
  }
  process.exit(0);
}

serve();
