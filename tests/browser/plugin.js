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

// A first bang, then on from its end, then another try of that.
async function continued(socket, audio) {
  const tame = { model_name: "thepatch/vanya_ai_dnb_0.1", description: "drums, percussion", top_k: 150 };
  const bang = { ...tame, audio_data: audio, prompt_duration: 6 };
  const made = await ask(socket, "process_audio_request", bang, "audio_processed");
  const song = { ...tame, session_id: made.session_id, prompt_duration: 10 };
  const more = { ...song, audio_data: made.audio_data };
  await ask(socket, "continue_music_request", more, "music_continued");
  await ask(socket, "retry_music_request", song, "music_retried");
  await ask(socket, "cleanup_session_request", { session_id: made.session_id }, "cleanup_complete");
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

  await continued(socket, audio);

  await ask(socket, "transform_audio_request", { ...order, variation: "kazoo" }, "error");
  await ask(socket, "cleanup_session_request", session, "cleanup_complete");
  socket.disconnect();
  console.log(JSON.stringify(heard));
}

main();
