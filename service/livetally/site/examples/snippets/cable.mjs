// A page that has @rails/actioncable changes the address in createConsumer, and nothing else.
const identifier = JSON.stringify({ channel: "ClicksChannel" });
const cable = new WebSocket("{{ws}}/v1/events/cable?api_key={{key}}", "actioncable-v1-json");
cable.onopen = () => cable.send(JSON.stringify({ command: "subscribe", identifier }));
cable.onmessage = ({ data }) => {
  const results = JSON.parse(data).message?.results; // at once, then as they change
  if (results) console.log(JSON.stringify(results));
  if (results?.some(({ color }) => color === "blue")) cable.close(); // without this it goes on
};

const response = await fetch("{{url}}/v1/events", {
  method: "POST",
  headers: { Authorization: "Token token={{key}}" },
  body: new URLSearchParams({
    "action_color[action_name]": "click",
    "action_color[color_name]": "blue",
  }),
});
console.log(response.status);
