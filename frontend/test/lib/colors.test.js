import assert from "node:assert/strict";
import { test } from "node:test";
import { hcl, rgb } from "d3-color";
import { colorOf, compareSubjects, inkOn, luminance, NAMES, ROW_NAMES } from "../../src/lib/colors.js";

// d3-color has its own list of the CSS names: an independent witness for ours.
test("the grid is ten rows of ten different CSS colours under their right names", () => {
  assert.deepEqual(ROW_NAMES.map((row) => row.length), Array(10).fill(10));
  assert.equal(new Set(NAMES).size, 100);
  assert.equal(new Set(NAMES.map(colorOf)).size, 100);
  for (const name of NAMES) assert.equal(colorOf(name), rgb(name).formatHex(), name);
});

test("colours that tests, docs and demos name are in the grid", () => {
  for (const name of ["red", "green", "blue", "black", "white", "rebeccapurple"]) {
    assert.ok(NAMES.includes(name), name);
  }
});

// Written down, not computed: if the hash changes, every dashboard's colours change with it.
test("a subject outside the grid keeps its colour for ever", () => {
  assert.equal(colorOf("/articles/1"), "#4d36a1");
  assert.equal(colorOf("Größe 😀"), "#69d043");
});

test("similar names get colours that can be told apart, and none fades into the page", () => {
  const colors = Array.from({ length: 300 }, (_, i) => colorOf(`/articles/${i}`));
  assert.ok(new Set(colors).size > 270, `${new Set(colors).size} different`);
  const hues = new Set(colors.map((colour) => Math.floor(hcl(colour).h / 30)));
  assert.equal(hues.size, 12);
  for (const color of colors) {
    assert.match(color, /^#[0-9a-f]{6}$/);
    assert.ok(luminance(color) > 0.03 && luminance(color) < 0.75, color);
  }
});

test("subjects stand in the same order wherever they are sorted from", () => {
  const subjects = ["zebra", "red", "a", "navy", "black", "b", "", "white", "/x", "__proto__"];
  const once = [...subjects].sort(compareSubjects);
  const again = [...subjects].reverse().sort(compareSubjects);
  assert.deepEqual(once, again);
  assert.deepEqual(once.slice(0, 4), ["red", "navy", "white", "black"]);
});

test("what is written on a colour can be read (WCAG AA)", () => {
  const contrast = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((m, n) => m - n);
    return (light + 0.05) / (dark + 0.05);
  };
  for (const name of [...NAMES, "a", "b", "/articles/1"]) {
    assert.ok(contrast(colorOf(name), inkOn(colorOf(name))) >= 4.5, name);
  }
});
