// Finds routes, and lets them be tried: all the rest of the page is there without this.

const find = document.querySelector("#find");
const found = document.querySelector("#found");

find.hidden = false;
find.addEventListener("submit", (event) => event.preventDefault());
find.elements.words.addEventListener("input", () => {
  const words = find.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const article of document.querySelectorAll("article[data-path]")) {
    const text = article.textContent.toLowerCase();
    const wanted = words.every((word) => text.includes(word));
    article.hidden = !wanted;
    document.querySelector(`#docs-contents a[href="#${article.id}"]`).parentElement.hidden = !wanted;
    count += wanted;
  }
  found.textContent = words.length ? `${count} ${count === 1 ? "route" : "routes"}` : "";
});

for (const article of document.querySelectorAll("article[data-path]")) {
  // What is no plain request can't be tried from here.
  if (article.querySelector('.status[data-class="1"]')) continue;
  const details = make("details", {}, make("summary", { textContent: "Try it" }));
  details.addEventListener("toggle", () => details.childElementCount > 1 || details.append(form(article)));
  article.append(details);
}

function form(article) {
  const fields = [...article.querySelectorAll("tr[data-in]")].map((row) => {
    const input = make("input", { value: row.dataset.example, autocomplete: "off" });
    input.required = "required" in row.dataset;
    return { ...row.dataset, input };
  });
  const sample = article.querySelector('[data-role="body"]');
  const body = sample && make("textarea", { rows: 6, value: sample.textContent, spellcheck: false });
  const answer = make("pre", { tabIndex: 0 });
  answer.setAttribute("role", "status");
  const made = make(
    "form",
    {},
    ...fields.map(({ name, input }) => make("label", {}, `${name} `, input)),
    ...(body ? [make("label", {}, "Body ", body)] : []),
    make("button", { textContent: "Send" }),
    answer,
  );
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.textContent = "…";
    try {
      answer.textContent = await send(article, fields, body && [sample.dataset.mediaType, body.value]);
    } catch (error) {
      answer.textContent = `No answer: ${error.message}`;
    }
  });
  return made;
}

async function send({ dataset: { method, path } }, fields, body) {
  const key = find.elements.key.value;
  const headers = key ? { "x-api-key": key } : {};
  const query = new URLSearchParams();
  let address = path;
  for (const { name, in: where, input } of fields) {
    if (where === "path") address = address.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (where === "query") query.set(name, input.value);
    else headers[name] = input.value;
  }
  if (body) headers["content-type"] = body[0];
  const url = query.size ? `${address}?${query}` : address;
  const response = await fetch(url, { method, headers, body: body?.[1], signal: AbortSignal.timeout(20_000) });
  return `${response.status}\n${await text(response)}`;
}

// A stream has no end: its beginning is shown.
async function text(response) {
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
    const said = await response.text();
    try {
      return JSON.stringify(JSON.parse(said), null, 2);
    } catch {
      return said;
    }
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (said.split("\n\n").length < 4) said += (await reader.read()).value ?? "\n\n";
  await reader.cancel();
  return said;
}

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}
