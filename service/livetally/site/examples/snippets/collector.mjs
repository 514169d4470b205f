const headers = {
  Authorization: "Basic " + btoa("{{project}}:{{key}}"),
  "Content-Type": "application/json",
};
const body = JSON.stringify({ session_id: "s1", button_id: "buy" });
const received = await fetch("{{url}}/button/click", { method: "POST", headers, body });
console.log(await received.text());

const count = await fetch("{{url}}/button/click/count?button_id=buy", { headers });
console.log(await count.text());
