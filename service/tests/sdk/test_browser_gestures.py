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
    marked elements in each other; a click that the page makes of a click; a finger."""
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
