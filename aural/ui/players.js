// The A/B player of players.py. gr.HTML runs this once for each player it shows; `element`, `props` and `watch`
// are its own. The state that tests and style sheets need stands in data attributes of the player's root.

const KEYS = "ABCD";
const FADE_SECONDS = 0.003; // time constant: a switch is over in about 10 ms, too short for a dip, too long for a click
const START_SECONDS = 0.02; // lead that lets every version start on the same sample

const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

// Short sounds: every version decoded, all sources started on one sample, one of them audible.
const bufferEngine = async (versions, rate, signal) => {
  const decoder = new OfflineAudioContext(1, 1, rate); // an AudioContext may not be made before a click
  const buffers = await Promise.all(
    versions.map(async (version) => {
      const response = await fetch(version.file.url, { signal }).catch(() => {
        throw new Error("The connection to the server is lost: reload the page.");
      });
      if (!response.ok) throw new Error(`“${version.label}” is no longer on the server: run it again.`);
      const bytes = await response.arrayBuffer();
      return decoder.decodeAudioData(bytes).catch(() => {
        throw new Error(`This browser cannot play “${version.label}”: download the file to listen to it.`);
      });
    }),
  );
  // Padded to one length, all versions loop on the same sample.
  const length = Math.max(...buffers.map((buffer) => buffer.length));
  const padded = buffers.map((buffer) => {
    if (buffer.length === length) return buffer;
    const longer = decoder.createBuffer(buffer.numberOfChannels, length, rate);
    for (let channel = 0; channel < buffer.numberOfChannels; channel++)
      longer.copyToChannel(buffer.getChannelData(channel), channel);
    return longer;
  });

  let context = null;
  let run = null; // what sounds now: { sources, gains, gate, startedAt }
  let wanted = false;
  let offset = 0;
  let levels = versions.map(() => 0);
  let looping = false;
  const start = () => {
    const startedAt = context.currentTime + START_SECONDS;
    const gate = context.createGain();
    gate.connect(context.destination);
    if (offset > 0) {
      gate.gain.setValueAtTime(0, startedAt);
      gate.gain.setTargetAtTime(1, startedAt, FADE_SECONDS);
    }
    const gains = levels.map((level) => {
      const gain = context.createGain();
      gain.gain.value = level;
      gain.connect(gate);
      return gain;
    });
    const sources = padded.map((buffer, index) => {
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.loop = looping;
      source.connect(gains[index]);
      source.start(startedAt, offset);
      return source;
    });
    run = { sources, gains, gate, startedAt };
    sources[0].onended = () => {
      if (run?.sources !== sources) return; // stopped by a pause or a seek
      run = null;
      wanted = false;
      offset = 0;
      engine.onend();
    };
  };
  const stop = () => {
    if (!run) return;
    const { sources, gate } = run;
    offset = engine.position();
    run = null;
    gate.gain.cancelScheduledValues(0);
    gate.gain.setTargetAtTime(0, context.currentTime, FADE_SECONDS);
    sources.forEach((source) => source.stop(context.currentTime + 10 * FADE_SECONDS));
  };
  const engine = {
    kind: "buffers",
    seconds: length / rate,
    onend: () => {},
    position: () => {
      if (!run) return offset;
      const reached = offset + Math.max(0, context.currentTime - run.startedAt);
      return looping ? reached % engine.seconds : Math.min(reached, engine.seconds);
    },
    play: async () => {
      wanted = true;
      context ??= new AudioContext({ sampleRate: rate });
      await context.resume();
      if (wanted && !run) start();
    },
    pause: () => {
      wanted = false;
      stop();
      // An idle context would keep a phone's audio device awake.
      setTimeout(() => wanted || context?.state !== "running" || context.suspend(), 200);
    },
    seek: (seconds) => {
      stop();
      offset = Math.min(seconds, engine.seconds);
      if (wanted && context.state === "running") start();
    },
    setLevels: (next) => {
      levels = next;
      run?.gains.forEach((gain, index) => gain.gain.setTargetAtTime(levels[index], context.currentTime, FADE_SECONDS));
    },
    setLoop: (next) => {
      if (run) [offset, run.startedAt] = [engine.position(), context.currentTime];
      looping = next;
      run?.sources.forEach((source) => (source.loop = looping));
    },
    close: () => {
      engine.pause();
      context?.close();
    },
  };
  return engine;
};

// Long sounds: one streaming element for each version; the silent ones are pulled along with the audible one.
const streamEngine = async (versions, rate, signal) => {
  const players = versions.map((version) => Object.assign(new Audio(version.file.url), { preload: "auto" }));
  signal.addEventListener("abort", () => {
    for (const player of players) {
      player.removeAttribute("src");
      player.load(); // ends the download
    }
  });
  await Promise.all(
    players.map(
      (player, index) =>
        new Promise((resolve, reject) => {
          player.oncanplay = resolve;
          player.onerror = () =>
            reject(new Error(`This browser cannot play “${versions[index].label}”: download the file to listen to it.`));
        }),
    ),
  );
  let context = null;
  let gains = [];
  let levels = versions.map(() => 0);
  const audible = () => players[Math.max(0, levels.findIndex((level) => level > 0))];
  const engine = {
    kind: "stream",
    seconds: Math.max(...players.map((player) => player.duration)),
    onend: () => {},
    position: () => {
      const leader = audible();
      for (const player of players) {
        const lag = leader.currentTime - player.currentTime;
        if (player === leader || leader.paused || Math.abs(lag) < 0.002) player.playbackRate = 1;
        else if (Math.abs(lag) < 0.5) player.playbackRate = 1 + Math.min(0.2, Math.max(-0.2, 2 * lag));
        else if (!player.seeking) player.currentTime = leader.currentTime;
      }
      return leader.currentTime;
    },
    play: async () => {
      if (!context) {
        context = new AudioContext({ sampleRate: rate });
        gains = players.map((player, index) => {
          const gain = context.createGain();
          gain.gain.value = levels[index];
          context.createMediaElementSource(player).connect(gain).connect(context.destination);
          return gain;
        });
      }
      await context.resume();
      await Promise.all(players.map((player) => player.play()));
    },
    pause: () => players.forEach((player) => player.pause()),
    seek: (seconds) => players.forEach((player) => (player.currentTime = seconds)),
    setLevels: (next) => {
      levels = next;
      gains.forEach((gain, index) => gain.gain.setTargetAtTime(levels[index], context.currentTime, FADE_SECONDS));
    },
    setLoop: (next) => players.forEach((player) => (player.loop = next)),
    close: () => {
      engine.pause();
      context?.close();
    },
  };
  players.forEach((player) => {
    player.onended = () => {
      if (player !== audible()) return;
      engine.pause();
      engine.seek(0);
      engine.onend();
    };
  });
  return engine;
};

const clock = (seconds) => {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  const [hours, minutes, rest] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, (tenths % 600) / 10];
  const tail = rest.toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
};
const signed = (value) => `${value < 0 ? "−" : ""}${Math.abs(value).toFixed(1)}`;
const channelNames = { 1: "mono", 2: "stereo", 6: "5.1", 8: "7.1" };

const drawing = (version) => {
  const outline = (values, name) => {
    const heights = values.map((value) => (value / props.waveform_steps).toFixed(3));
    const top = heights.map((height, index) => `${index},${(1 - height).toFixed(3)}`);
    const bottom = heights.map((height, index) => `${index},${(1 + +height).toFixed(3)}`).reverse();
    return `<path class="${name}" d="M${top.join("L")}L${bottom.join("L")}Z"/>`;
  };
  const paths = outline(version.peaks, "ab-peaks") + outline(version.levels, "ab-levels");
  const box = `viewBox="0 0 ${Math.max(1, version.peaks.length - 1)} 2" preserveAspectRatio="none" aria-hidden="true"`;
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
const title = make("div", { class: "ab-title" });
const bar = make(
  "div",
  { class: "ab-bar" },
  playButton,
  make("div", { class: "ab-time" }, now, total),
  make("div", { class: "ab-toggles" }, loopButton, matchButton),
);
const choices = make("div", { class: "ab-versions" });
const lanes = make("div", { class: "ab-lanes" });
const seek = make("input", { class: "ab-seek", type: "range", min: "0", step: "any", value: "0", "aria-label": "Position" });
const hint = make("div", { class: "ab-hint" });
const note = make("div", { class: "ab-note", role: "status" });
const spoken = make("div", { class: "ab-spoken", "aria-live": "polite" });
root.append(title, bar, choices, lanes, hint, note, spoken);
element.querySelector(".ab-player").replaceChildren(root);

let versions = [];
let engine = null;
let loading = new AbortController();
let active = 0;
let matched = true;
let looping = false;
let playing = false;

const gainDb = (index) => (matched ? versions[index].matched_gain_db : 0);
const step = () => (engine.seconds > 60 ? 5 : 1);

const setState = (state, text = "") => {
  root.dataset.state = state;
  note.textContent = text;
  const listening = state === "ready" || state === "playing";
  for (const control of [playButton, seek]) control.disabled = !listening;
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
  root.dataset.active = active;
  root.dataset.matched = matched;
  root.dataset.gains = versions.map((_, index) => gainDb(index).toFixed(2)).join(" ");
  matchButton.setAttribute("aria-pressed", matched);
  loopButton.setAttribute("aria-pressed", looping);
  const gains = versions.map((_, index) => 10 ** (gainDb(index) / 20));
  // One zoom for all lanes, so that their heights compare as the sounds do.
  const highest = Math.max(...versions.map((version, index) => gains[index] * Math.max(...version.peaks)));
  const zoom = (0.95 * props.waveform_steps) / Math.max(1, highest);
  versions.forEach((version, index) => {
    const shown = matched && version.loudness_lufs !== null && !matchButton.disabled;
    choices.children[index].setAttribute("aria-pressed", index === active);
    choices.children[index].querySelector(".ab-gain").textContent = shown ? `${signed(gainDb(index))} dB` : "";
    lanes.children[index].dataset.active = index === active;
    for (const path of lanes.children[index].querySelectorAll("path"))
      path.style.transform = `scaleY(${zoom * gains[index]})`;
  });
  engine?.setLevels(gains.map((gain, index) => (index === active ? gain : 0)));
};

const tick = () => {
  if (!playing) return;
  // A tab that was left hides its player or takes it off the page; nothing there could stop the sound.
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
  document.dispatchEvent(new CustomEvent("aural-play", { detail: root })); // one player at a time
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
  engine?.setLoop(looping);
  showChoice();
};

const leave = () => {
  loading.abort();
  engine?.close();
  engine = null;
  playing = false;
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
  const stride = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((each) => each > end / 7) ?? end;
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
    make("div", { class: "ab-playhead" }),
    seek,
  );
  seek.max = end;
  total.textContent = ` / ${clock(end)}`;
};

const load = async () => {
  leave();
  loading = new AbortController();
  const { signal } = loading;
  versions = Array.isArray(props.value) ? props.value : [];
  active = versions[active] ? active : 0;
  for (const part of [bar, choices, lanes, hint]) part.hidden = !versions.length;
  matchButton.disabled = versions.filter((version) => version.loudness_lufs !== null).length < 2;
  build();
  showChoice();
  showPosition();
  if (!versions.length) return setState("empty", "Nothing to compare yet.");
  setState("loading", "Loading …");
  // Rates that every browser's audio engine takes; at 44.1, 48 and 96 kHz nothing is resampled here.
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
  engine.setLoop(looping);
  seek.max = engine.seconds;
  const keys = versions.map((_, index) => `<kbd>${KEYS[index]}</kbd>`).join(" ");
  hint.innerHTML = `${keys} switch · <kbd>Space</kbd> play, pause · <kbd>←</kbd> <kbd>→</kbd> ${step()} s · <kbd>M</kbd> matched · <kbd>L</kbd> loop`;
  setState("ready");
  showChoice();
};

playButton.onclick = () => (playing ? pause() : play());
loopButton.onclick = toggleLoop;
matchButton.onclick = toggleMatch;
seek.oninput = () => moveTo(+seek.value);
// After a click the keys belong to the player; whoever came by the Tab key stays on the control.
root.addEventListener("click", (event) => event.detail > 0 && root.focus({ preventScroll: true }));
root.addEventListener("keydown", (event) => {
  if (!engine || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const index = Math.max(KEYS.indexOf(key), "1234".indexOf(key));
  if (key === " " && event.target.tagName === "BUTTON") return; // presses the button
  if (key === " ") playing ? pause() : play();
  else if (key === "ArrowLeft") moveTo(engine.position() - step());
  else if (key === "ArrowRight") moveTo(engine.position() + step());
  else if (key === "M") toggleMatch();
  else if (key === "L") toggleLoop();
  else if (index >= 0) choose(index);
  else return;
  event.preventDefault();
});
document.addEventListener("aural-play", function another(event) {
  if (!root.isConnected) {
    document.removeEventListener("aural-play", another);
    leave();
  } else if (event.detail !== root) pause();
});
watch(["value", "label"], load);
load();
