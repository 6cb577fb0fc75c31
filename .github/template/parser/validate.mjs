// Print what GitHub's own parser finds in workflow and action files, one finding a line.
import {readFileSync} from "node:fs";
import {register} from "node:module";
import {pathToFileURL} from "node:url";

// The package imports JSON as a bundler allows it; Node wants it said.
const hook = `export async function resolve(name, context, next) {
  const found = await next(name, context);
  return found.url.endsWith(".json") ? {...found, importAttributes: {type: "json"}} : found;
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
const {validate} = await import("@actions/languageservice");
const {TextDocument} = await import("vscode-languageserver-textdocument");

const fileProvider = {
  getFileContent: async ({path}) => ({name: path, content: readFileSync(path, "utf8")}),
};
for (const path of process.argv.slice(2)) {
  const text = readFileSync(path, "utf8");
  const document = TextDocument.create(pathToFileURL(path).href, "yaml", 1, text);
  for (const {range, message} of await validate(document, {fileProvider})) {
    console.log(`${path}:${range.start.line + 1}: ${message}`);
  }
}
