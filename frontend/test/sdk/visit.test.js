import assert from "node:assert/strict";
import { test } from "node:test";
import { campaign } from "../../src/sdk/page/visit.js";

test("of a query only what names the campaign goes along", () => {
  const query = "?utm_source=news&token=secret&utm_medium=mail&ref=friend&email=a%40b.c&UTM_TERM=x&utm_=y";
  assert.deepEqual(campaign(query), { utm_source: "news", utm_medium: "mail", ref: "friend" });
  assert.deepEqual(campaign(""), {});
});

test("a campaign that somebody makes endless stays small, and U+0000 isn't part of it", () => {
  const endless = Array.from({ length: 500 }, (_, i) => `utm_${i}=${"%F0%9F%98%80".repeat(300)}`);
  const bytes = Buffer.byteLength(JSON.stringify(campaign(`?${endless.join("&")}`)));
  assert.ok(bytes < 16_000, `${bytes} bytes`);
  assert.deepEqual(campaign("?ref=a%00b"), { ref: "ab" });
});
