"use strict";

// Sends a file over Socket.IO and plays what comes back. Nothing of this project is needed for it.

const server = new URLSearchParams(location.search).get("server") || "http://localhost:8002";
const element = (id) => document.getElementById(id);
const say = (text) => { element("status").textContent = text; };
const key = new URLSearchParams(location.search).get("key");
const auth = key ? { api_key: key } : {};
const headers = key ? { "X-API-Key": key } : {};
const socket = io(server, { transports: ["websocket"], autoConnect: false, auth });

// Null until the server has told it. It is what a reconnected client is known by.
let sessionId = null;

async function base64Of(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  return url.slice(url.indexOf(",") + 1);
}

async function listVariations() {
  const { variations } = await (await fetch(`${server}/variations`, { headers })).json();
  element("variation").replaceChildren(...Object.keys(variations).map((name) => new Option(name)));
}

function play({ audio_data: audio, session_id: session }) {
  sessionId = session;
  element("result").src = `data:audio/wav;base64,${audio}`;
  element("undo").disabled = false;
}

async function transform() {
  element("progress").value = 0;
  say("sending");
  socket.emit("transform_audio_request", {
    audio_data: await base64Of(element("file").files[0]),
    variation: element("variation").value,
    session_id: sessionId,
  });
}

socket.on("connect", () => {
  say("connected");
  element("transform").disabled = false;
  if (sessionId) {
    socket.emit("verify_session", { session_id: sessionId });
  }
});
socket.on("connect_error", (error) => say(error.message));
socket.on("transform_audio_received", (news) => { sessionId = news.session_id; });
socket.on("queue_status", (news) => say(news.message));
socket.on("progress_update", (news) => { element("progress").value = news.progress; });
socket.on("audio_transformed", (news) => { play(news); say("done"); });
socket.on("transform_undone", (news) => { play(news); say("undone"); });
socket.on("error", (news) => say(`error: ${news.message}`));

element("transform").addEventListener("click", transform);
element("undo").addEventListener("click", () => {
  socket.emit("undo_transform_request", { session_id: sessionId });
});
listVariations().then(() => socket.connect(), () => say(`error: ${server} does not answer`));
