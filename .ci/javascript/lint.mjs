// Lint the JavaScript of the page: its parts are one script, and are checked as one.
//
//     npm ci && npm run lint
//
// Parts use each other's functions without importing them, because the page carries all of them
// in a single inline script. Linted one by one, each call would be of an unknown name and each
// function would seem unused; joined, both rules hold, and a name defined twice is found.

import { readFile } from "node:fs/promises";
import path from "node:path";

import js from "@eslint/js";
import { ESLint } from "eslint";
import globals from "globals";

const root = path.join(import.meta.dirname, "..", "..");
const viewer = path.join(root, "probe", "viewer");

const rules = {
  ...js.configs.recommended.rules,
  "consistent-return": "error",
  curly: ["error", "multi-line"],
  eqeqeq: "error",
  "no-eval": "error",
  "no-implied-eval": "error",
  "no-new-func": "error",
  "no-shadow": "error",
  "no-var": "error",
  "prefer-const": "error",
};

const eslint = new ESLint({
  cwd: root,
  overrideConfigFile: true,
  overrideConfig: {
    files: ["**/*.js"],
    languageOptions: { ecmaVersion: 2022, sourceType: "module", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules,
  },
});

// The Python modules that build the pages know the parts and their order.
async function listParts(module, list) {
  const text = await readFile(path.join(viewer, module), "utf-8");
  const listed = text.match(new RegExp(`^${list} = \\(([^)]*)\\)`, "m"))?.[1];
  if (!listed) throw new Error(`${module} no longer lists ${list}, which this reads`);
  return [...listed.matchAll(/"([^"]+)"/g)].map((match) => match[1]);
}

const readParts = (names) => Promise.all(names.map(async (name) => {
  const file = path.join(viewer, "static", name);
  return { file: path.relative(root, file), text: await readFile(file, "utf-8") };
}));

// Find the part, and the line in it, that a line of the joined script is.
function locate(parts, line) {
  for (const { file, text } of parts) {
    const lines = text.split("\n").length;
    if (line <= lines) return `${file}:${line}`;
    line -= lines;
  }
  throw new Error("a line after the last part");
}

// Each script is the shared parts and one that uses them; the start of a page in HTML is in Python.
const shared = await listParts("page.py", "SCRIPT_PARTS");
const live = [...shared, ...await listParts("live/live_page.py", "LIVE_PARTS")];
const scripts = [[...shared, "widget.js"], [...live, "live_widget.js"], [...live, "served.js"]];
const problems = new Set();
for (const names of scripts) {
  const parts = await readParts(names);
  const script = parts.map((part) => part.text).join("\n");
  const [result] = await eslint.lintText(script, { filePath: path.join(viewer, "static", "all.js") });
  for (const { line, column, message, ruleId } of result.messages) {
    const said = message.replace(/line (\d+)/, (_, other) => locate(parts, Number(other)));
    problems.add(`${locate(parts, line ?? 1)}:${column}: ${said} (${ruleId ?? "syntax"})`);
  }
}
problems.forEach((problem) => console.log(problem));
console.log(`JavaScript: ${problems.size} problems in ${new Set(scripts.flat()).size} files`);
process.exitCode = problems.size ? 1 : 0;
