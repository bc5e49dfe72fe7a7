"use strict";

/* What there is to say, to see and to fetch of one result. Knows reports; starts nothing itself. */

const DRAWING = "It is being drawn…";
const COMPANIONS = { midi: "Notes as MIDI", comparison: "Source, as loud as the result" };

/** Return what was heard as pairs of name and text; what was listened for in vain is "none". */
function heardFacts(heard) {
  const chords = (heard.chords || []).map((chord) => (chord.name === "N" ? "–" : chord.name));
  return [
    ["Tempo heard", tempo(heard)],
    ["Meter heard", meter(heard)],
    ["Key heard", heard.key === null ? "none" : heard.key],
    ["Chords heard", chords.slice(0, MOST_CHORDS).join(" – ")],
    ["Drums heard", counted(heard.drum_strokes)],
    ["Voice heard", heard.voice && `${Math.round(100 * heard.voice.confidence)} % sure`],
    ...hints(heard.hints || {}),
    ["Played by", counted(heard.notes_per_part)],
  ];
}

function tempo({ bpm, bpm_range: range, steady }) {
  if (bpm === null) {
    return "none";
  }
  if (bpm && steady === false && range) {
    return `${rounded(bpm)} BPM, between ${rounded(range[0])} and ${rounded(range[1])}`;
  }
  return bpm && `${rounded(bpm)} BPM`;
}

function meter({ meter: signature, swing }) {
  return signature && signature + (swing > 0.1 ? ", swung" : "");
}

/** Return "violin 1 (12), cello (8)"; nothing where there is nothing to count. */
function counted(counts) {
  return Object.entries(counts || {}).map(([name, count]) => `${name} (${count})`).join(", ");
}

function hints(said) {
  return Object.entries(said).map(([name, { given, heard, followed }]) => [
    `Hint: ${name}`,
    followed ? `${given}, followed` : `${given}, not followed; heard: ${heard ?? "none"}`,
  ]);
}

/** Return the sentences of a report: notices, then what became of the words. */
function words(report) {
  const { understood = [], ignored = [], guessed = null, notices = [] } = report;
  const said = [...notices];
  if (understood.length) {
    said.push(`Understood: ${understood.join(", ")}.`);
  }
  if (ignored.length) {
    said.push(`Without effect: ${ignored.join(", ")}.`);
  }
  if (guessed) {
    said.push(`No word was understood; ${guessed.replaceAll("_", " ")} is a guess.`);
  }
  return said.join(" ");
}

/** Return links to the files that lie beside a result: notes, parts, the source as loud. */
function companions(job, report) {
  const named = new Map(job.artifacts.map((artifact) => [artifact.name, artifact]));
  const told = [
    ...Object.entries(COMPANIONS).map(([role, title]) => [title, report[role]]),
    ...(report.stems || []).map((stem) => [stem.part, stem]),
  ];
  return told
    .map(([title, facts]) => [title, facts && named.get(facts.name)])
    .filter(([, artifact]) => artifact)
    .map(([title, artifact]) => saved(title, artifact));
}

function saved(title, { name, url }) {
  const link = document.createElement("a");
  link.textContent = title;
  link.title = name;
  link.href = `${url}${url.includes("?") ? "&" : "?"}download=1`;
  const item = document.createElement("li");
  item.appendChild(link);
  return item;
}

/** Load a picture when it is first looked at; it is fetched, because images send no key. */
async function look(view, url) {
  const [image, said] = [view.querySelector("img"), view.querySelector("p")];
  if (!view.open || image.src || said.textContent === DRAWING) {
    return;
  }
  said.textContent = DRAWING;
  try {
    const answer = await fetch(url, { headers: headers() });
    if (!answer.ok) {
      throw new Error((await answer.json()).error.message);
    }
    image.src = URL.createObjectURL(await answer.blob());
    view.querySelector("a").href = image.src;
    said.textContent = "";
  } catch (error) {
    said.textContent = error.message;
  }
}
