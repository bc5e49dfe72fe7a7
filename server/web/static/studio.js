"use strict";

const POLL_MILLISECONDS = 400;
const HEALTH_MILLISECONDS = 10000;
const KEY_NAME = "melodyflow.key";
const MOST_CHORDS = 8;
const HEAR = "▶ Hear our riff by this preset";
const STOP = "■ Stop";
const STAGES = {
  queued: "Waiting for its turn",
  warming: "Getting ready",
  reading: "Reading the file",
  transforming: "Playing it anew",
  measuring: "Measuring what was kept",
  storing: "Storing the result",
};

const element = (id) => document.getElementById(id);
const show = (id, visible) => { element(id).hidden = !visible; };

let strengthIsChosen = false;
let running = null;
let examples = {};
const example = new Audio();

/** Return the headers of every request: the key, if this browser was given one. */
function headers() {
  const key = localStorage.getItem(KEY_NAME);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Fetch JSON; a refusal becomes an Error with the server's sentence. */
async function ask(url, options) {
  const response = await fetch(url, { ...options, headers: headers() });
  const body = await response.json();
  if (response.status === 401) {
    show("door", true);
  }
  if (response.status >= 400) {
    throw new Error(body.error ? body.error.message : response.statusText);
  }
  return body;
}

function chooseFile(file) {
  if (!file) {
    return;
  }
  const player = element("source");
  if (player.src) {
    URL.revokeObjectURL(player.src);
  }
  element("file-name").textContent = file.name;
  player.src = URL.createObjectURL(file);
  player.hidden = false;
}

/** Offer an example of the preset that was touched last, if the server has one. */
function offerExample(event) {
  const chosen = event ? event.target : document.querySelector("[name=variation]:checked");
  const url = chosen ? examples[chosen.value] : null;
  stopExample();
  show("hear", Boolean(url));
  element("hear").dataset.url = url || "";
}

function stopExample() {
  example.pause();
  URL.revokeObjectURL(example.src);
  element("hear").textContent = HEAR;
}

/** Play an example, or stop it; it is fetched, because players send no key. */
async function hearExample() {
  if (!example.paused) {
    stopExample();
    return;
  }
  const answer = await fetch(element("hear").dataset.url, { headers: headers() });
  if (answer.ok) {
    example.src = URL.createObjectURL(await answer.blob());
    element("hear").textContent = STOP;
    example.play();
  }
}

function orderOf(form) {
  const order = new FormData();
  const said = new FormData(form);
  order.append("audio", element("file").files[0]);
  if (element("several").checked) {
    order.append("variations", JSON.stringify(choices(said)));
    said.delete("variation");
    said.delete("custom_prompt");
  }
  for (const [name, value] of said) {
    if (value !== "") {
      order.append(name, value);
    }
  }
  if (strengthIsChosen) {
    order.append("strength", element("strength").value);
  }
  return order;
}

/** Return the presets that are checked; words are one choice more. */
function choices(said) {
  const words = said.get("custom_prompt").trim();
  const presets = said.getAll("variation").filter((name) => name !== "custom");
  return words ? [...presets, { custom_prompt: words }] : presets;
}

async function transform(event) {
  event.preventDefault();
  element("go").disabled = true;
  show("hint", false);
  show("trouble", false);
  show("result", false);
  element("previews").replaceChildren();
  try {
    showProgress({ stage: "queued", progress: 0, position: null });
    const receipt = await ask("/jobs", { method: "POST", body: orderOf(event.target) });
    running = receipt.links.self;
    show("cancel", true);
    showEnding(await follow(running));
  } catch (error) {
    showTrouble(error.message);
  } finally {
    running = null;
    element("go").disabled = false;
    show("work", false);
    show("cancel", false);
  }
}

async function follow(url) {
  for (;;) {
    const job = await ask(url);
    showProgress(job);
    if (["finished", "failed", "cancelled"].includes(job.status)) {
      return job;
    }
    await new Promise((resolve) => { setTimeout(resolve, POLL_MILLISECONDS); });
  }
}

function showProgress(job) {
  const ahead = job.position ? ` (${job.position} ahead)` : "";
  element("stage").textContent = (STAGES[job.stage] || job.stage) + ahead;
  element("percent").textContent = `${Math.round(100 * job.progress)} %`;
  element("bar").value = job.progress;
  showPreviews((job.artifacts || []).filter((artifact) => artifact.role === "preview"));
  show("work", true);
}

function showPreviews(previews) {
  const shown = element("previews");
  if (shown.childElementCount === previews.length) {
    return; // a player that is set up again would stop
  }
  shown.replaceChildren(...previews.map((preview) => {
    const label = document.createElement("label");
    const player = document.createElement("audio");
    label.textContent = previews.length > 1 ? preview.name : "Not finished, but to be heard:";
    player.src = preview.url;
    player.controls = true;
    label.appendChild(player);
    return label;
  }));
}

function showEnding(job) {
  const results = job.artifacts.filter((artifact) => artifact.role === "result");
  if (job.status === "finished" && results.length) {
    showResults(job, results);
  } else {
    showTrouble(job.error ? job.error.message : `The job was ${job.status}.`);
  }
}

function showTrouble(text) {
  element("trouble").textContent = text;
  show("trouble", true);
}

function showResults(job, results) {
  const report = job.report || {};
  const reports = report.variations || [report];
  const takes = results.map((result, index) => take(job, result, reports[index] || {}, index + 1));
  element("result").replaceChildren(...takes);
  show("result", true);
}

/** Return one result: its player, its downloads, its picture and what there is to say of it. */
function take(job, result, report, number) {
  const card = element("take").content.cloneNode(true);
  const title = report.variation === "custom" ? report.custom_prompt : report.variation;
  card.querySelector(".title").textContent = (title || "").replaceAll("_", " ");
  card.querySelector("audio").src = result.url;
  for (const link of card.querySelectorAll("[data-format]")) {
    const more = result.url.includes("?") ? "&" : "?";
    link.href = `${result.url}${more}format=${link.dataset.format}&download=1`;
  }
  card.querySelector(".files").replaceChildren(...companions(job, report));
  const view = card.querySelector(".picture");
  view.hidden = !job.links.picture;
  view.addEventListener("toggle", () => look(view, `${job.links.picture}?result=${number}`));
  view.open = !view.hidden && job.artifacts.filter(({ role }) => role === "result").length === 1;
  card.querySelector(".words").textContent = words(report);
  const rows = facts(job, report).map(([name, value]) => row(name, value));
  card.querySelector("tbody").replaceChildren(...rows);
  return card;
}

/** Return what a musician wants to know of a report, as pairs of name and text. */
function facts(job, report) {
  const { heard = {}, kept = {}, passage } = report;
  const pairs = [["Engine", job.engine], ["Seed", job.seed], ...heardFacts(heard)];
  for (const [name, gate] of Object.entries(kept.gates || {})) {
    pairs.push([`Kept: ${name.replaceAll("_", " ")}`, judged(gate)]);
  }
  if (passage) {
    pairs.push(...passageFacts(passage));
  }
  pairs.push(["Licence", job.licence]);
  return pairs.filter(([, text]) => text !== undefined && text !== null && text !== "");
}

function passageFacts({ start_seconds: start, end_seconds: end, outside, seams }) {
  const rest = outside.identical ? "the rest bit for bit" : "the rest changed by the format";
  const pairs = [["Changed", `${rounded(start)} to ${rounded(end)} s, ${rest}`]];
  for (const [name, seam] of Object.entries(seams)) {
    pairs.push([`Seam at its ${name}`, seam && seam.verdict]);
  }
  return pairs;
}

function judged(gate) {
  const isKnown = typeof gate.value === "number";
  return isKnown ? `${rounded(gate.value)} ${gate.unit} · ${gate.verdict}` : gate.verdict;
}

function rounded(number) {
  return Number(number.toFixed(2));
}

function row(name, value) {
  const line = document.createElement("tr");
  for (const text of [name, value]) {
    line.appendChild(document.createElement("td")).textContent = text;
  }
  return line;
}

async function showHealth() {
  const pulse = element("pulse");
  try {
    const { ready, reasons } = await fetch("/health/ready").then((answer) => answer.json());
    pulse.className = ready ? "pulse up" : "pulse part";
    pulse.textContent = ready ? "ready" : reasons[0];
  } catch {
    pulse.className = "pulse down";
    pulse.textContent = "not reachable";
  }
}

/** Ask for a key where the server wants one and this browser has none that is good. */
async function knock() {
  try {
    const { variations } = await ask("/variations");
    const found = Object.entries(variations).map(([name, each]) => [name, each.example]);
    examples = Object.fromEntries(found);
    offerExample();
    show("door", false);
  } catch (error) {
    element("door-said").textContent = localStorage.getItem(KEY_NAME) ? error.message : "";
  }
}

function connectDropZone() {
  const zone = element("drop");
  for (const [type, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    zone.addEventListener(type, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", over);
    });
  }
  zone.addEventListener("drop", (event) => {
    element("file").files = event.dataTransfer.files;
    chooseFile(event.dataTransfer.files[0]);
  });
}

element("file").addEventListener("change", (event) => chooseFile(event.target.files[0]));
element("order").addEventListener("submit", transform);
element("cancel").addEventListener("click", () => {
  if (running) {
    fetch(running, { method: "DELETE", headers: headers() });
  }
});
element("strength").addEventListener("input", (event) => {
  strengthIsChosen = true;
  element("strength-shown").textContent = `${Math.round(100 * event.target.value)} %`;
});
element("several").addEventListener("change", (event) => {
  for (const preset of document.querySelectorAll("[name=variation]")) {
    preset.type = event.target.checked ? "checkbox" : "radio";
  }
});
for (const preset of document.querySelectorAll("[name=variation]")) {
  preset.addEventListener("change", offerExample);
}
element("hear").addEventListener("click", hearExample);
example.addEventListener("ended", stopExample);
element("door").addEventListener("submit", (event) => {
  event.preventDefault();
  localStorage.setItem(KEY_NAME, element("key").value.trim());
  element("key").value = "";
  knock();
});
connectDropZone();
knock();
showHealth();
setInterval(showHealth, HEALTH_MILLISECONDS);
