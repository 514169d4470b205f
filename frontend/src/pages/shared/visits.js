/**
 * A page's coming and going: `leave` when it is closed or kept for the back button, `comeBack` when
 * it is shown again from there, `hurry` when the network or a reader is back, or the network went.
 */
export function onVisits({ leave, comeBack, hurry }) {
  addEventListener("pagehide", leave);
  addEventListener("pageshow", ({ persisted }) => persisted && comeBack());
  for (const event of ["online", "offline"]) addEventListener(event, hurry);
  document.addEventListener("visibilitychange", hurry);
}
