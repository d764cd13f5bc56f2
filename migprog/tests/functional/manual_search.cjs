// SPDX-License-Identifier: Apache-2.0
// Asks Sphinx's own search, as a browser runs it: manual_search.cjs FOLDER, the questions on stdin as
// a list; writes the pages of each, the best first.

const { readFileSync } = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const folder = process.argv[2];
const nothing = () => null;
const browser = {
  window: { location: { search: "" } },
  document: {
    readyState: "loading",
    documentElement: { dataset: { content_root: "" } },
    addEventListener: nothing,
    getElementById: nothing,
    querySelector: nothing,
  },
  DOCUMENTATION_OPTIONS: { BUILDER: "html", FILE_SUFFIX: ".html", LINK_SUFFIX: ".html" },
  localStorage: { getItem: nothing, setItem: nothing },
  SPHINX_HIGHLIGHT_ENABLED: false,
  _ready: nothing,
  _: (text) => text,
  console,
  URLSearchParams,
};
vm.createContext(browser);
for (const name of ["_static/language_data.js", "_static/searchtools.js", "searchindex.js"]) {
  vm.runInContext(readFileSync(path.join(folder, name), "utf8"), browser, name);
}
// Newer releases put it into the window.
browser.Stemmer ??= browser.window.Stemmer;

const answers = JSON.parse(readFileSync(0, "utf8")).map((question) => {
  browser.question = question;
  const found = vm.runInContext("Search._performSearch(...Search._parseQuery(question))", browser);
  return [...new Set([...found].reverse().map(([page]) => page))];
});
process.stdout.write(JSON.stringify(answers));
