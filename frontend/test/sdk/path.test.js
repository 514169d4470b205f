import assert from "node:assert/strict";
import { test } from "node:test";
import { pagePath } from "../../src/sdk/page/path.js";

const pathOf = (address, options) => pagePath(options, new URL(address));
const at = (path, options) => pathOf(`https://shop.example${path}`, options);

test("a path is shown as its reader writes it", () => {
  assert.equal(at("/你好/größe"), "/你好/größe");
  assert.equal(at("/a%20b"), "/a b");
  assert.equal(at("/%E4%bd%a0"), "/你");
  assert.equal(at("/خانه‌ها"), "/خانه‌ها", "a joiner inside a word");
});

test("what isn't the same again when it is encoded stays as it came", () => {
  for (const path of ["/a%2Fb", "/%41", "/100%25", "/%2541", "/%", "/%E4%BD", "/%zz", "/%C0%AF", "/%ED%A0%80"]) {
    assert.equal(at(path), path);
  }
});

test("what can't be seen or turns the text around stays encoded", () => {
  for (const path of ["/%E2%80%AEgpj.exe", "/%00", "/%0A", "/%7F", "/%E2%80%8B", "/%E2%80%A8", "/%EF%BB%BF", "/%E2%81%A6"]) {
    assert.equal(at(path), path);
  }
});

test("a path that is too long is cut with a mark, and no character is halved", () => {
  assert.equal(at(`/${"x".repeat(1_023)}`).length, 1_024);
  const long = [...at(`/${"😀".repeat(1_500)}`)];
  assert.equal(long.length, 1_024);
  assert.deepEqual([long[0], long[1_022], long[1_023]], ["/", "😀", "…"]);
  assert.equal(at(`/${"你".repeat(120)}`).length, 121);
});

test("what is no page of the web has no path", () => {
  const addresses = [
    "file:///home/jane.doe/My%20Documents/index.html",
    "data:text/html,hi",
    "about:blank",
    "about:srcdoc",
    "chrome-extension://abcdef/popup.html",
    "blob:https://shop.example/1c0b",
    "app://local/index.html",
  ];
  for (const address of addresses) assert.equal(pathOf(address), null, address);
  assert.equal(pathOf("http://localhost:8080/x"), "/x");
});

test("neither query nor fragment is part of it, unless routes are in the fragment", () => {
  assert.equal(at("/a?secret=1#/b"), "/a");
  assert.equal(at("/a?secret=1#/b/%C3%BC?token=2", { hashRoutes: true }), "/a#/b/ü");
  assert.equal(at("/#!/b", { hashRoutes: true }), "/#!/b");
  assert.equal(at("/", { hashRoutes: true }), "/");
});

test("by option a slash at the end and an index are the same page", () => {
  const joined = (path) => at(path, { joinPaths: true });
  for (const path of ["/about", "/about/", "/about//", "/about/index.html", "/about/INDEX.HTM"]) {
    assert.equal(joined(path), "/about");
  }
  for (const path of ["/", "/index.html", "//"]) assert.equal(joined(path), "/");
  assert.equal(joined("/my-index.html"), "/my-index.html");
  assert.equal(at("/about/"), "/about/");
});
