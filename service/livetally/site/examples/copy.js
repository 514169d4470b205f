// Copy buttons. Without scripts, or where a page may not write to the clipboard, there are none.

const said = document.querySelector("#said");
let silence;

async function copy(button) {
  const code = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(code.textContent);
    said.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(code);
    said.textContent = "Selected: press Ctrl+C (on a Mac, Command+C).";
  }
  clearTimeout(silence);
  silence = setTimeout(() => (said.textContent = ""), 4_000);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
