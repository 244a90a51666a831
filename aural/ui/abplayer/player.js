// The A/B player. It runs once for each player, with gr.HTML's `element`, `props` and `watch`.
// State for tests and style sheets is in data attributes of the player's root.

const KEYS = "ABCD";
const HANDLE_STEPS = {
  ...{ ArrowLeft: -0.1, ArrowDown: -0.1, ArrowRight: 0.1, ArrowUp: 0.1 },
  ...{ PageDown: -1, PageUp: 1, Home: -Infinity, End: Infinity },
};

const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

const clock = (seconds) => {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  const [hours, minutes, rest] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, (tenths % 600) / 10];
  const tail = rest.toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
};
const signed = (value) => `${value <= -0.05 ? "−" : ""}${Math.abs(value).toFixed(1)}`;
const channelNames = { 1: "mono", 2: "stereo", 6: "5.1", 8: "7.1" };

const columns = (text) => text.split(" ").map(Number);
const drawing = (version) => {
  const outline = (values, name) => {
    const heights = values.map((value) => (value / props.waveform_steps).toFixed(3));
    const top = heights.map((height, index) => `${index},${(1 - height).toFixed(3)}`);
    const bottom = heights.map((height, index) => `${index},${(1 + +height).toFixed(3)}`).reverse();
    return `<path class="${name}" d="M${top.join("L")}L${bottom.join("L")}Z"/>`;
  };
  const [peaks, levels] = [columns(version.peaks), columns(version.levels)];
  const paths = outline(peaks, "ab-peaks") + outline(levels, "ab-levels");
  const box = `viewBox="0 0 ${Math.max(1, peaks.length - 1)} 2" preserveAspectRatio="none" aria-hidden="true"`;
  const lane = make("div", { class: "ab-lane" });
  lane.innerHTML = `<svg ${box}>${paths}</svg><svg class="ab-played" ${box}>${paths}</svg>`;
  return lane;
};

const root = make("div", { class: "ab", role: "group", tabindex: "0" });
const playButton = make("button", { type: "button", class: "ab-play" });
const now = make("output", { "aria-live": "off" });
const total = make("span");
const loopButton = make("button", { type: "button", class: "ab-toggle", "data-control": "loop" }, "Loop");
const matchButton = make("button", { type: "button", class: "ab-toggle", "data-control": "match" }, "Matched loudness");
const sign = (name, title, text) => make("button", { type: "button", "aria-label": name, title }, text);
const startButton = sign("Start region here", "Start the loop region at the playhead (key [)", "[");
const endButton = sign("End region here", "End the loop region at the playhead (key ])", "]");
const removeButton = sign("Remove region", "Remove the region (key Esc)", "×");
const title = make("div", { class: "ab-title" });
const testButton = make("button", { type: "button", class: "ab-small" });
const panel = make("div", { class: "ab-test" });
const bar = make(
  "div",
  { class: "ab-bar" },
  playButton,
  make("div", { class: "ab-time" }, now, total),
  make(
    "div",
    { class: "ab-toggles" },
    make("div", { class: "ab-joined" }, loopButton, startButton, endButton, removeButton),
    matchButton,
  ),
);
const choices = make("div", { class: "ab-versions" });
const ears = make("div", { class: "ab-versions ab-ears", role: "group", "aria-label": "Listen to" });
const answers = make("div", { class: "ab-answers", role: "group", "aria-label": "Your answer" });
const lanes = make("div", { class: "ab-lanes" });
const seek = make("input", { class: "ab-seek", type: "range", min: "0", step: "any", value: "0", "aria-label": "Position" });
const shade = make("div", { class: "ab-region" });
const handles = ["start", "end"].map((side) =>
  make("div", { class: `ab-handle ab-${side}`, role: "slider", tabindex: "0", "aria-label": `Region ${side}` }),
);
const hint = make("div", { class: "ab-hint" });
const note = make("div", { class: "ab-note", role: "status" });
const spoken = make("div", { class: "ab-spoken", "aria-live": "polite" });
const head = make("div", { class: "ab-head" }, title, testButton);
root.append(head, panel, bar, choices, ears, answers, lanes, hint, note, spoken);
element.querySelector(".ab-player").replaceChildren(root);

let versions = [];
let engine = null;
let loading = new AbortController();
let active = 0;
let matched = true;
let looping = Boolean(props.loop);
let playing = false;
let region = null; // { from, to } in seconds
let length = 0; // in seconds, of what was loaded last
let loopedBefore = false; // before there was a region

const gainDb = (index) => (matched || blind() ? versions[index].matched_gain_db : 0);
const step = () => (engine.seconds > 60 ? 5 : 1);

const setState = (state, text = "") => {
  root.dataset.state = state;
  note.textContent = text;
  const listening = state === "ready" || state === "playing";
  for (const control of [playButton, seek, startButton, endButton, testButton]) control.disabled = !listening;
  playButton.setAttribute("aria-label", state === "playing" ? "Pause" : "Play");
  playButton.innerHTML =
    state === "playing"
      ? '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M4 3h4v14H4zM12 3h4v14h-4z"/></svg>'
      : '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M5 2.5v15l12.5-7.5z"/></svg>';
};

const showPosition = () => {
  const [at, end] = engine ? [engine.position(), engine.seconds] : [0, 0];
  now.textContent = clock(at);
  seek.value = at;
  seek.setAttribute("aria-valuetext", `${clock(at)} of ${clock(end)}`);
  lanes.style.setProperty("--played", end ? at / end : 0);
  root.dataset.position = at.toFixed(3);
};

const showChoice = () => {
  const hidden = blind();
  const audible = hidden ? test.pair[test.ear === 2 ? test.x : test.ear] : active;
  const gains = versions.map((_, index) => 10 ** (gainDb(index) / 20));
  engine?.setLevels(gains.map((gain, index) => (index === audible ? gain : 0)));
  root.dataset.active = hidden ? "ABX"[test.ear] : active;
  root.dataset.matched = matched || hidden;
  root.dataset.gains = hidden ? "" : versions.map((_, index) => gainDb(index).toFixed(2)).join(" ");
  const measured = versions.filter((version) => version.loudness_lufs !== null).length > 1;
  matchButton.disabled = hidden || !measured;
  matchButton.setAttribute("aria-pressed", matched || hidden);
  loopButton.setAttribute("aria-pressed", looping);
  [...ears.children].forEach((button, ear) => button.setAttribute("aria-pressed", ear === test?.ear));
  // One zoom for all lanes, so that their heights are comparable.
  const highest = Math.max(...versions.map((version, index) => gains[index] * version.peak));
  const zoom = (0.95 * props.waveform_steps) / Math.max(1, highest);
  versions.forEach((version, index) => {
    const shown = matched && measured && version.loudness_lufs !== null;
    choices.children[index].setAttribute("aria-pressed", !hidden && index === active);
    choices.children[index].querySelector(".ab-gain").textContent = shown ? `${signed(gainDb(index))} dB` : "";
    lanes.children[index].dataset.active = !hidden && index === active;
    for (const path of lanes.children[index].querySelectorAll("path"))
      path.style.transform = `scaleY(${zoom * gains[index]})`;
  });
};

// A region is shown while it is drawn, before it loops.
const showRegion = (span = region) => {
  for (const part of [shade, ...handles]) part.hidden = !span;
  removeButton.disabled = !region;
  root.dataset.region = span ? `${span.from.toFixed(3)} ${span.to.toFixed(3)}` : "";
  if (!span) return;
  handles.forEach((handle, index) => {
    const at = index ? span.to : span.from;
    lanes.style.setProperty(index ? "--to" : "--from", at / engine.seconds);
    handle.setAttribute("aria-valuemin", index ? span.from.toFixed(2) : 0);
    handle.setAttribute("aria-valuemax", (index ? engine.seconds : span.to).toFixed(2));
    handle.setAttribute("aria-valuenow", at.toFixed(2));
    handle.setAttribute("aria-valuetext", clock(at));
  });
};

const applyLoop = () => engine?.setLoop(looping ? (region ?? { from: 0, to: engine.seconds }) : null);

const tick = () => {
  if (!playing) return;
  // Leaving a tab hides or removes its player, which could then no longer be stopped.
  if (root.offsetParent === null) return root.isConnected ? pause() : leave();
  showPosition();
  requestAnimationFrame(tick);
};

const pause = () => {
  if (!playing) return;
  playing = false;
  engine.pause();
  setState("ready");
  showPosition();
};

const play = async () => {
  if (!engine || playing) return;
  playing = true;
  setState("playing");
  document.dispatchEvent(new CustomEvent("ab-play", { detail: root })); // one player at a time
  const started = engine;
  await started.play().catch((error) => started === engine && (pause(), setState("ready", error.message)));
  tick();
};

const choose = (index) => {
  if (!versions[index]) return;
  active = index;
  showChoice();
  spoken.textContent = `Version ${KEYS[index]}, ${versions[index].label}`;
};

const setRegion = (span) => {
  if (!engine) return;
  if (span && !region) [loopedBefore, looping] = [looping, true];
  if (!span && region) looping &&= loopedBefore;
  region = span;
  applyLoop();
  showRegion();
  showChoice();
  showPosition();
  spoken.textContent = span ? `Loop from ${clock(span.from)} to ${clock(span.to)}` : "Region removed";
};

// The span with one side moved. index: 0 its start, 1 its end.
const moved = (span, index, seconds) =>
  index
    ? { from: span.from, to: Math.min(engine.seconds, Math.max(span.from + REGION_SECONDS, seconds)) }
    : { from: Math.max(0, Math.min(span.to - REGION_SECONDS, seconds)), to: span.to };

const setSide = (index) => {
  if (!engine) return;
  const at = engine.position() || (index ? engine.seconds : 0); // a region cannot end at 0
  const whole = { from: 0, to: engine.seconds };
  const fits = region && (index ? at > region.from : at < region.to);
  setRegion(moved(fits ? region : whole, index, at));
};

const moveTo = (seconds) => {
  if (!engine) return;
  engine.seek(Math.min(engine.seconds, Math.max(0, seconds)));
  showPosition();
};

const toggleMatch = () => {
  if (matchButton.disabled) return;
  matched = !matched;
  showChoice();
};

const toggleLoop = () => {
  looping = !looping;
  applyLoop();
  showChoice();
};

const leave = () => {
  loading.abort();
  engine?.close();
  engine = null;
  playing = false;
};

const showHint = () => {
  const keys = (...names) => names.map((name) => `<kbd>${name}</kbd>`).join(" ");
  const parts = blind()
    ? [`${keys(..."ABX")} listen`, `${keys(..."12")} X is A, X is B`]
    : [`${keys(...KEYS.slice(0, versions.length))} switch`, `${keys("M")} matched`];
  const all = [
    ...parts,
    `${keys("Space")} play, pause`,
    `${keys("←", "→")} ${step()} s`,
    `${keys("L")} loop`,
    `${keys("[", "]")} or ${keys("Shift")} and drag: region, ${keys("Esc")} removes it`,
  ];
  hint.innerHTML = all.map((part) => `<span>${part}</span>`).join(" · ");
};

const build = () => {
  const label = props.label || "Compare";
  title.textContent = label;
  root.setAttribute("aria-label", `${label}: player`);
  choices.replaceChildren(
    ...versions.map((version, index) => {
      const loudness = version.loudness_lufs === null ? "" : `${signed(version.loudness_lufs)} LUFS · `;
      const channels = channelNames[version.channels] ?? `${version.channels} channels`;
      const button = make(
        "button",
        { type: "button", class: "ab-version", title: version.label },
        make("span", { class: "ab-letter" }, KEYS[index]),
        make("span", { class: "ab-name" }, version.label),
        make("span", { class: "ab-facts" }, `${loudness}${version.rate / 1000} kHz · ${channels}`),
        make("span", { class: "ab-gain" }),
      );
      button.onclick = () => choose(index);
      return button;
    }),
  );
  const end = Math.max(...versions.map((version) => version.seconds));
  const strides = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
  const stride = strides.find((each) => each > end / 7) ?? end;
  const ruler = make("div", { class: "ab-ruler", "aria-hidden": "true" });
  for (let at = 0; at < end * 0.97; at += stride) {
    const mark = make("span", {}, stride < 1 ? clock(at) : clock(at).slice(0, -2));
    mark.style.left = `${(100 * at) / end}%`;
    ruler.append(mark);
  }
  lanes.replaceChildren(
    ...versions.map((version, index) => {
      const lane = drawing(version);
      lane.append(make("span", { class: "ab-tag", "aria-hidden": "true" }, KEYS[index]));
      return lane;
    }),
    ruler,
    shade,
    make("div", { class: "ab-playhead" }),
    seek,
    ...handles,
  );
  seek.max = end;
  total.textContent = ` / ${clock(end)}`;
};

const load = async (plays) => {
  leave();
  loading = new AbortController();
  const { signal } = loading;
  const given = Array.isArray(props.value) ? props.value : [];
  versions = given.map((version) => ({ ...version, peak: Math.max(...columns(version.peaks)) }));
  active = versions[active] ? active : 0;
  test = null;
  for (const part of [bar, lanes, hint, testButton]) part.hidden = !versions.length;
  build();
  showTest();
  showRegion(null);
  showPosition();
  if (!versions.length) return setState("empty", "Nothing to compare yet.");
  setState("loading", "Loading …");
  // Rates that every browser supports; at 44.1, 48 and 96 kHz nothing is resampled.
  const rate = Math.min(96000, Math.max(44100, ...versions.map((version) => version.rate)));
  const decoded = versions.reduce((bytes, version) => bytes + 4 * version.channels * version.seconds * rate, 0);
  try {
    const open = decoded > props.decoded_limit_bytes ? streamEngine : bufferEngine;
    const loaded = await open(versions, rate, signal);
    if (signal.aborted) return loaded.close();
    engine = loaded;
  } catch (error) {
    if (!signal.aborted) setState("error", error.message);
    return;
  }
  root.dataset.engine = engine.kind;
  engine.onend = () => {
    playing = false;
    setState("ready");
    showPosition();
  };
  // A new result from the same sound keeps the region.
  if (region && Math.abs(engine.seconds - length) > 0.001) [region, looping] = [null, looping && loopedBefore];
  length = engine.seconds;
  applyLoop();
  seek.max = length;
  setState("ready");
  showTest();
  showRegion();
  showPosition();
  if (plays) play();
};

playButton.onclick = () => (playing ? pause() : play());
loopButton.onclick = toggleLoop;
matchButton.onclick = toggleMatch;
startButton.onclick = () => setSide(0);
endButton.onclick = () => setSide(1);
removeButton.onclick = () => setRegion(null);
testButton.onclick = () => (test ? closeTest() : openTest());
seek.oninput = () => moveTo(+seek.value);

// Follows a pointer until it is released; spanAt: seconds -> the region to show and finally to keep.
const drag = (target, event, spanAt) => {
  const { left, width } = lanes.getBoundingClientRect();
  const secondsAt = ({ clientX }) => Math.min(1, Math.max(0, (clientX - left) / width)) * engine.seconds;
  const grabbed = secondsAt(event);
  let span = null;
  const until = new AbortController();
  const on = (name, act) => target.addEventListener(name, act, { signal: until.signal });
  target.setPointerCapture(event.pointerId);
  on("pointermove", (next) => engine && showRegion((span = spanAt(secondsAt(next), grabbed))));
  on("pointerup", () => (until.abort(), span && setRegion(span)));
  on("pointercancel", () => (until.abort(), showRegion()));
};
seek.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault()); // no seek
seek.addEventListener("pointerdown", (event) => {
  if (!event.shiftKey || event.button) return;
  drag(seek, event, (at, grabbed) =>
    at < grabbed
      ? moved({ from: 0, to: grabbed }, 0, at)
      : moved({ from: grabbed, to: grabbed }, 1, at)
  );
});
handles.forEach((handle, index) => {
  handle.addEventListener("pointerdown", (event) => {
    if (!event.button) drag(handle, event, (at) => moved(region, index, at));
  });
  handle.addEventListener("keydown", (event) => {
    const by = HANDLE_STEPS[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    setRegion(moved(region, index, (index ? region.to : region.from) + by));
    event.preventDefault();
    event.stopPropagation();
  });
});

// After a click the player gets the keyboard focus; after the Tab key the control keeps it.
root.addEventListener("click", (event) => {
  if (event.detail > 0 && !event.target.closest("select, label, .ab-handle")) root.focus({ preventScroll: true });
});
root.addEventListener("keydown", (event) => {
  // On some keyboards brackets are typed with a modifier.
  const typed = event.getModifierState("AltGraph") || (event.altKey && "[]".includes(event.key));
  if (!engine || event.metaKey || (!typed && (event.ctrlKey || event.altKey))) return;
  if (event.target.matches("select, .ab-count input")) return;
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const index = Math.max(KEYS.indexOf(key), "1234".indexOf(key));
  if (key === " " && event.target.tagName === "BUTTON") return; // presses the button
  if (key === " ") playing ? pause() : play();
  else if (key === "ArrowLeft") moveTo(engine.position() - step());
  else if (key === "ArrowRight") moveTo(engine.position() + step());
  else if (key === "[") setSide(0);
  else if (key === "]") setSide(1);
  else if (key === "Escape" && region) setRegion(null);
  else if (key === "L") toggleLoop();
  else if (blind() && "ABX".includes(key)) listen("ABX".indexOf(key));
  else if (blind() && "12".includes(key)) event.repeat || answer("12".indexOf(key));
  else if (blind()) return;
  else if (key === "M") toggleMatch();
  else if (index >= 0) choose(index);
  else return;
  event.preventDefault();
});
document.addEventListener("ab-play", function another(event) {
  if (!root.isConnected) {
    document.removeEventListener("ab-play", another);
    leave();
  } else if (event.detail !== root) pause();
});
watch(["value", "label"], () => load(props.autoplay));
load(false);
