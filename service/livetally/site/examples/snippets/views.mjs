// A page whose origin a write key is bound to (livetally keys create --origin) needs no api_key.
const socket = new WebSocket("{{ws}}/ws?api_key={{key}}");
const view = {
  message: "views",
  articleId: "a1",
  articleTitle: "T",
  currentPage: "/posts/x",
  refreshed: false,
  referrer: "https://news.example/",
};
socket.onopen = () => socket.send(JSON.stringify(view));
socket.onmessage = ({ data }) => {
  console.log(data); // this view is in it; others' follow as they come
  socket.close(); // without this line it goes on
};
