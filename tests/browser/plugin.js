"use strict";

// A client as the plugin's Node script: `node plugin.js URL AUDIO_FILE`. Prints what it hears as JSON.

const fs = require("fs");
const { io } = require("socket.io-client");

const [url, file] = process.argv.slice(2);
const heard = [];

function connected() {
  const socket = io(url, { transports: ["websocket"], forceNew: true });
  const waiting = {};
  socket.onAny((name, payload) => {
    heard.push([name, payload]);
    (waiting[name] || []).splice(0).forEach((resolve) => resolve(payload));
  });
  socket.on("error", (news) => news.message.includes("asleep"));
  socket.awaited = (name) => new Promise((resolve) => {
    (waiting[name] = waiting[name] || []).push(resolve);
  });
  return new Promise((resolve) => socket.on("connect", () => resolve(socket)));
}

async function ask(socket, request, payload, answer) {
  const answered = socket.awaited(answer);
  socket.emit(request, payload);
  return answered;
}

async function main() {
  const audio = fs.readFileSync(file).toString("base64");
  const order = { audio_data: audio, variation: "celtic", session_id: null, flowstep: 0.13 };

  let socket = await connected();
  const result = await ask(socket, "transform_audio_request", order, "audio_transformed");
  const session = { session_id: result.session_id };
  await ask(socket, "undo_transform_request", session, "transform_undone");
  await ask(socket, "update_cropped_audio", { ...session, audio_data: audio }, "update_cropped_audio_complete");

  // The connection breaks in the middle of a job; the next one finds its way back.
  const again = { ...order, ...session };
  await ask(socket, "transform_audio_request", again, "transform_audio_received");
  socket.disconnect();
  socket = await connected();
  await ask(socket, "verify_session", session, "audio_transformed");

  await ask(socket, "transform_audio_request", { ...order, variation: "kazoo" }, "error");
  await ask(socket, "cleanup_session_request", session, "cleanup_complete");
  socket.disconnect();
  console.log(JSON.stringify(heard));
}

main();
