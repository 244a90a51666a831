// The live section of a tab. gr.HTML runs this once; `element`, `props` and `server` are its own.
// Blocks of the microphone go to the server one after the other and are played as they come back. The state that
// tests and style sheets need stands in data attributes of the root.

const BLOCK_SECONDS = 0.1;
const MARGIN_SECONDS = 0.08; // played so much later than a block arrives, since the next may be a little late
const MOST_BEHIND_SECONDS = 2.5;
const RECORDER = `registerProcessor("aural-recorder", class extends AudioWorkletProcessor {
  process(inputs) {
    if (inputs[0][0]) this.port.postMessage({ samples: inputs[0][0].slice(), at: currentTime });
    return true;
  }
})`;

const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const choice = ({ name, label, options, value }) => {
  const select = make("select", { name, "aria-label": label });
  for (const [key, title] of options) select.append(make("option", { value: key }, title));
  select.value = value;
  return select;
};

const toBase64 = (blocks, length) => {
  const integers = new Int16Array(length);
  let offset = 0;
  for (const block of blocks)
    for (const sample of block) integers[offset++] = Math.round(32767 * Math.min(1, Math.max(-1, sample)));
  const bytes = new Uint8Array(integers.buffer);
  let text = "";
  for (let start = 0; start < bytes.length; start += 8192)
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  return btoa(text);
};
const fromBase64 = (text) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (integer) => integer / 32767);
};

const button = make("button", { type: "button" });
const choices = props.settings.map(choice);
const canvas = make("canvas", { role: "img", "aria-label": "Spectrum of the microphone (grey) and the output" });
const facts = make("dl");
const note = make("p", { class: "live-note", role: "status" });
const root = make(
  "div",
  { class: "live", role: "group", "aria-label": "Live from the microphone" },
  make("div", { class: "live-bar" }, ...choices.map((select) => make("label", {}, select.ariaLabel, select)), button),
  canvas,
  facts,
  note,
);
element.querySelector(".live-place").replaceChildren(root);

let run = null; // what is under way: { context, stream, key, ... }

const setState = (state, text = "") => {
  root.dataset.state = state;
  note.textContent = text;
  button.textContent = state === "running" ? "Stop" : state === "opening" ? "Starting …" : "Start";
  button.disabled = state === "opening";
  canvas.hidden = facts.hidden = !facts.children.length && state !== "running";
};

const showFacts = () => {
  const took = run.took.slice(-20);
  const mean = took.reduce((sum, ms) => sum + ms, 0) / Math.max(1, took.length);
  const rows = {
    "look-ahead": ["Look-ahead", run.lookAhead],
    block: ["Block", 1000 * run.blockSeconds],
    took: ["Computing time per block", mean],
    latency: ["Latency, microphone to output", run.latency],
  };
  facts.replaceChildren(
    ...Object.entries(rows).flatMap(([key, [name, ms]]) => {
      root.dataset[key.replace(/-(.)/, (_, letter) => letter.toUpperCase())] = ms.toFixed(1);
      return [make("dt", {}, name), make("dd", {}, `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`)];
    }),
    ...(run.gaps ? [make("dt", {}, "Dropouts"), make("dd", {}, `${run.gaps}`)] : []),
  );
};

const BARS = 96;
// The level of each bar, 0 to 1.
const levelsOf = (analyser, top) => {
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const place = (bar) => Math.floor((bar / BARS) * (top / (analyser.context.sampleRate / 2)) * levels.length);
  return Array.from({ length: BARS }, (_, bar) => {
    const level = Math.max(...levels.subarray(place(bar), Math.max(place(bar) + 1, place(bar + 1))));
    return Math.max(0, Math.min(1, (level + 110) / 90));
  });
};

const draw = (drawn) => {
  if (run !== drawn) return;
  if (!root.isConnected || root.offsetParent === null) return stop(); // the tab was left
  const [width, height] = [(canvas.width = canvas.clientWidth * 2), (canvas.height = canvas.clientHeight * 2)];
  const pen = canvas.getContext("2d");
  const top = Math.min(24000, run.context.sampleRate / 2);
  const edge = ((run.edge ?? 0) / top) * width;
  const bars = (levels, color) =>
    levels.forEach((share, bar) => {
      pen.fillStyle = color((bar / BARS) * width);
      pen.fillRect((bar / BARS) * width, height * (1 - share), width / BARS - 2, height * share);
    });
  bars(levelsOf(run.input, top), () => "#5b5c66");
  bars(levelsOf(run.output, top), (x) => (x < edge ? "#a6a7b0" : "#2dd4bf"));
  if (edge) {
    pen.fillStyle = "#e4e4e7";
    pen.fillRect(edge - 1, 0, 2, height);
    pen.font = "22px sans-serif";
    const text = `${run.edge / 1000} kHz`;
    const room = pen.measureText(text).width;
    pen.fillText(text, edge + room + 16 < width ? edge + 10 : edge - room - 10, 28);
  }
  requestAnimationFrame(() => draw(drawn));
};

const stop = (text = "") => {
  const ended = run;
  run = null;
  if (ended) {
    ended.stream?.getTracks().forEach((track) => track.stop());
    ended.context?.close();
    if (ended.key) server.live_close({ key: ended.key }).catch(() => {});
  }
  setState(text ? "error" : "idle", text);
};

// The sample that comes `index` after the first was recorded at run.firstAt + index / rate.
const play = (samples) => {
  if (!samples.length) return;
  const { context } = run;
  const rate = context.sampleRate;
  const buffer = context.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(run.output);
  if (run.playAt < context.currentTime + 0.005) {
    if (run.played) run.gaps += 1;
    run.playAt = context.currentTime + MARGIN_SECONDS;
  }
  source.start(run.playAt);
  const output = context.outputLatency || context.baseLatency || 0;
  run.latency = 1000 * (run.playAt - (run.firstAt + run.played / rate) + output);
  run.playAt += samples.length / rate;
  run.played += samples.length;
};

const send = async () => {
  const sending = run;
  const rate = sending.context.sampleRate;
  if (sending.busy || sending.length < BLOCK_SECONDS * rate) return;
  if (sending.length > MOST_BEHIND_SECONDS * rate)
    return stop("The server can't keep up. Try again later.");
  const [blocks, length] = [sending.blocks, sending.length];
  [sending.blocks, sending.length, sending.busy] = [[], 0, true];
  let answer;
  try {
    answer = await server.live_push({ key: sending.key, samples: toBase64(blocks, length) });
  } catch {
    answer = { error: "Connection lost. Reload the page." };
  }
  if (run !== sending) return;
  if (answer.error) return stop(answer.error);
  sending.busy = false;
  sending.blockSeconds = length / rate;
  sending.took.push(answer.took_ms);
  play(fromBase64(answer.samples));
  showFacts();
  send();
};

const start = async () => {
  setState("opening");
  const begun = { blocks: [], length: 0, busy: false, took: [], played: 0, playAt: 0, gaps: 0, latency: 0, firstAt: null, blockSeconds: BLOCK_SECONDS };
  run = begun;
  document.dispatchEvent(new CustomEvent("ab-play", { detail: root })); // the players fall silent
  try {
    if (!navigator.mediaDevices) throw new Error("Browsers allow the microphone only over https. Open this page over https.");
    begun.context = new AudioContext({ latencyHint: "interactive", ...(props.rate && { sampleRate: props.rate }) });
    const asked = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    begun.stream = await navigator.mediaDevices.getUserMedia({ audio: asked }).catch(() => {
      throw new Error("No microphone found. Plug one in and allow this page to use it.");
    });
    try {
      begun.microphone = begun.context.createMediaStreamSource(begun.stream);
    } catch {
      // Firefox does not convert a microphone's rate.
      begun.context.close();
      begun.context = new AudioContext({ latencyHint: "interactive" });
      begun.microphone = begun.context.createMediaStreamSource(begun.stream);
    }
    await begun.context.resume();
    await begun.context.audioWorklet.addModule(URL.createObjectURL(new Blob([RECORDER], { type: "text/javascript" })));
    const chosen = Object.fromEntries(choices.map((select) => [select.name, select.value]));
    if (props.edge) begun.edge = chosen[props.edge] / 2;
    const opened = await server
      .live_open({ rate: begun.context.sampleRate, choices: chosen })
      .catch(() => ({ error: "Connection lost. Reload the page." }));
    if (opened.error) throw new Error(opened.error);
    [begun.key, begun.lookAhead] = [opened.key, opened.look_ahead_ms];
    if (run !== begun) return server.live_close({ key: begun.key }); // stopped meanwhile
  } catch (error) {
    begun.stream?.getTracks().forEach((track) => track.stop()); // allowed after it was stopped
    if (run === begun) stop(error.message);
    return;
  }
  const { context } = begun;
  const analyser = () => Object.assign(context.createAnalyser(), { fftSize: 2048, smoothingTimeConstant: 0.6 });
  [begun.input, begun.output] = [analyser(), analyser()];
  begun.output.connect(context.destination);
  const recorder = new AudioWorkletNode(context, "aural-recorder", { numberOfOutputs: 0 });
  recorder.port.onmessage = ({ data }) => {
    if (run !== begun) return;
    begun.firstAt ??= data.at;
    begun.blocks.push(data.samples);
    begun.length += data.samples.length;
    send();
  };
  begun.microphone.connect(recorder);
  begun.microphone.connect(begun.input);
  showFacts();
  setState("running");
  requestAnimationFrame(() => draw(begun));
};

button.onclick = () => (run ? stop() : start());
// Another choice while it runs is heard at once.
for (const select of choices)
  select.onchange = () => {
    if (!run) return;
    stop();
    start();
  };
document.addEventListener("ab-play", function another(event) {
  if (!root.isConnected) document.removeEventListener("ab-play", another);
  if (run && event.detail !== root) stop();
});
setState("idle");
