await fetch("{{url}}/v1/items/vehicle-id/3", {
  method: "PUT",
  headers: { "x-api-key": "{{key}}", "Content-Type": "application/json" },
  body: JSON.stringify({ lat: 41.4, on: true }),
});

const socket = new WebSocket("{{ws}}/ws?vehicle-id=3&api_key={{key}}");
socket.onmessage = ({ data }) => {
  console.log(data); // the item at once, then whenever it changes
  socket.close(); // without this line it goes on
};
