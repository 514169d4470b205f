"""One gesture is one event, whatever events of the DOM it makes."""

from collections import Counter

from service.tests.support.browser.chromium import needs_chromium
from service.tests.support.browser.shop import World

pytestmark = needs_chromium

BODY = """
<label data-livetally="label"><input type="checkbox"> <b>I agree</b></label>
<label for="far" data-livetally="far label">Far</label><input id="far" type="checkbox">
<label><input type="radio" data-livetally="control"> <i>Choose</i></label>
<div data-livetally="card"><label><input type="checkbox"> <u>Inside</u></label>
  <button data-livetally="in card">Buy</button>
  <button data-livetally="hover only" data-livetally-on="hover">Look</button></div>
<details><summary data-livetally="summary">More</summary>text</details>
<form><input name="q"><button data-livetally="submit">Go</button></form>
<button data-livetally="opens" id="opens">Open</button><input type="file" data-livetally="file">
<select data-livetally="select"><option>a<option>b</select>
"""


async def test_one_gesture_is_one_event(world: World) -> None:
    """A click on a label, which the browser repeats on its control; a key that makes a click;
    marked elements in each other; a click that the page makes of a click; a finger; a key
    that is held."""
    world.shop.body = world.script("livetally-track.js", page_views="off") + BODY
    context = await world.visitor(has_touch=True)
    page = await world.visit(context)
    await page.evaluate(
        """() => {
          document.querySelector("form").addEventListener("submit", (e) => e.preventDefault());
          const input = document.querySelector("[type=file]");
          input.addEventListener("click", (event) => event.preventDefault());
          document.querySelector("#opens").addEventListener("click", () => input.click());
        }"""
    )
    wanted: Counter[tuple[str, str]] = Counter()
    for selector, subject in (
        ("b", "label"),
        ("label input", "label"),
        ("[for=far]", "far label"),
        ("i", "control"),
        ("u", "card"),
        ("text=Buy", "in card"),
        ("text=Look", "card"),
        ("summary", "summary"),
        ("#opens", "opens"),
    ):
        await page.locator(selector).first.click()
        wanted["click", subject] += 1
        await page.locator(selector).first.tap()
        wanted["click", subject] += 1
    wanted["hover", "hover only"] = 1
    for selector, key, subject in (
        ("summary", "Enter", "summary"),
        ("text=Buy", "Space", "in card"),
        ("label input >> nth=0", "Space", "label"),
        ("[name=q]", "Enter", "submit"),
    ):
        await page.locator(selector).first.press(key)
        wanted["click", subject] += 1
    await page.locator("text=Buy").focus()
    for held in ("Enter", "Space"):
        for _ in range(4):
            await page.keyboard.down(held)
        await page.keyboard.up(held)
        wanted["click", "in card"] += 1
    await page.evaluate(
        """async () => {
          await new Promise((later) => setTimeout(later)); // not in the last key's gesture
          document.querySelector("b").click();
          const buy = document.querySelector("[data-livetally='in card']");
          for (let i = 0; i < 3; i++) buy.click();
        }"""
    )
    wanted["click", "label"] += 1
    wanted["click", "in card"] += 3
    await world.counted(wanted)


async def test_what_a_page_builds_anew_under_the_pointer_was_not_gone_to(world: World) -> None:
    """A list that is drawn again and again is hovered once. A label's text may be in a shadow
    root: it is one click all the same."""
    world.shop.body = world.script("livetally-track.js", page_views="off") + (
        '<div id="list"><button data-livetally="row" data-livetally-on="hover">Row</button></div>'
        '<label data-livetally="label"><span id="host"></span><input type="checkbox"></label>'
    )
    page = await world.visit(await world.visitor())
    await page.evaluate(
        """() => {
          const text = document.createElement("i");
          text.textContent = "I agree";
          document.querySelector("#host").attachShadow({ mode: "open" }).append(text);
          window.over = 0;
          addEventListener("pointerover", () => (over += 1), true);
        }"""
    )
    row = page.locator("#list button")
    await row.hover()
    for n in range(1, 4):
        await page.evaluate(
            """() => {
              const list = document.querySelector("#list");
              list.replaceChildren(list.firstElementChild.cloneNode(true));
            }"""
        )
        await row.hover(position={"x": n, "y": n})
    assert await page.evaluate("over") >= 4
    await page.locator("i").click()
    await row.hover()
    await world.counted(Counter({("hover", "row"): 2, ("click", "label"): 1}))
