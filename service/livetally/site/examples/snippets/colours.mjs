const socket = new WebSocket("{{ws}}/ws");
socket.onopen = () => socket.send(JSON.stringify({ action: "add_api_key", api_key: "{{key}}" }));
socket.onmessage = ({ data }) => {
  console.log(data); // both lists at once, then each as it changes
  if (data.includes('"click","color":"red"')) socket.close(); // without this line it goes on
};

const response = await fetch("{{url}}/v1/events", {
  method: "POST",
  headers: { Authorization: "{{key}}", "Content-Type": "application/json" },
  body: JSON.stringify({ action: "click", color: "red" }),
});
console.log(await response.text());
