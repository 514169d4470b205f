import assert from "node:assert/strict";
import { test } from "node:test";
import { fileNameOf, toCsv } from "../../src/lib/csv.js";

const lines = (rows) => toCsv(rows).slice(1).split("\r\n");

test("what has quotes, commas, line breaks or spaces around is quoted", () => {
  assert.equal(toCsv([]), "\ufeff");
  const texts = ['say "hi"', "a,b", "two\nlines", "plain", " led", "", "é"];
  assert.equal(
    toCsv([[...texts, 5]]),
    '\ufeff"say ""hi""","a,b","two\nlines",plain," led",,é,5\r\n',
  );
});

test("no text is a formula, whatever hides before its first sign", () => {
  for (const text of ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "＠x"]) {
    const [line] = lines([[text]]);
    assert.match(line, /^"?'/, JSON.stringify(text));
  }
  assert.equal(lines([["=A1,B1"]])[0], `"'=A1,B1"`);
  assert.deepEqual(lines([["a=1", "1-2", "/x"], [-3]]), ["a=1,1-2,/x", "-3", ""]);
});

test("a file's name is one that every system takes", () => {
  assert.equal(fileNameOf("page_view", "2026-11-21T10:00:00Z"), "page-view-2026-11-21T10-00-00Z.csv");
  assert.equal(fileNameOf("../../etc/passwd"), "etc-passwd.csv");
  assert.equal(fileNameOf("Käufe: <b>\u202e"), "Käufe-b.csv");
  assert.equal(fileNameOf("***"), "counts.csv");
  assert.ok(fileNameOf("W".repeat(1_000)).length <= 124);
});
