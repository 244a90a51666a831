// Whether each page can run, whether it runs, and which file and settings its result belongs to. Kept in the
// browser, so that a changed setting costs no request. Functions return what Gradio gives to the components.
window.auralRuns = (() => {
  const asked = new Map(); // page -> the values that the latest run got
  const running = new Set();
  const started = new Set(); // pages whose run the visitor has started, until its result is focused
  const made = new Map(); // page -> those that belong to the result on the page, and words for them
  const earlier = new Map(); // page -> words for the result before the latest run

  const update = (properties) => ({ __type__: "update", ...properties });
  const files = (value) => [value ?? []].flat().filter((one) => one?.path);
  const plain = (value) => (files(value).length ? files(value).map((file) => file.path) : value ?? null);
  const isSame = (one, other) => JSON.stringify(plain(one)) === JSON.stringify(plain(other));
  const escape = (text) => new Option(text).innerHTML;
  const say = (text) => window.auralSay?.(text) ?? text; // in the page's language

  const nameOf = (file) => file.orig_name ?? file.path.split(/[\\/]/).pop();
  const wordsOf = (field, value) => {
    const label = say(field.label);
    if (typeof value === "boolean") return `${label} ${say(value ? "on" : "off")}`;
    const named = field.choices?.find(([, choice]) => isSame(choice, value));
    return `${label}: ${say(named?.[0] ?? value ?? "none")}`;
  };
  const describe = (fields, values) => {
    const of = values.flatMap(files).map(nameOf).join(", ");
    const set = fields
      .map((field, place) => field && !isSame(field.value, values[place]) && wordsOf(field, values[place]))
      .filter(Boolean);
    const settings = set.length ? set.join(", ") : say("Default settings");
    return { about: `${of ? `Result of ${of}` : "Result"}. ${settings}.`, short: of ? `${of}. ${settings}` : settings };
  };

  const line = (page, values) => {
    const result = made.get(page);
    if (!result) return "";
    if (running.has(page)) return '<p class="aural-stale"></p>'; // the progress is shown over it
    const isFile = (place) => files(values[place]).length || files(result.values[place]).length;
    const changed = [...values.keys()].filter((place) => !isSame(values[place], result.values[place]));
    const news = changed.some((place) => files(values[place]).length) ? "Another file: run again."
      : changed.some((place) => !isFile(place)) ? "Settings changed: run again." : "";
    auralAddress.belongs(page, !news);
    const told = news && `<strong role="status">${news}</strong> `;
    return `<p${news && ' class="aural-stale"'}>${told}${escape(result.about)}</p>`;
  };

  // The button that takes the place of the focused one gets the focus.
  const pass = (from, to) => {
    if (document.activeElement?.id !== from) return;
    const give = (tries) => {
      const node = document.getElementById(to);
      if (node && document.activeElement === document.body) node.focus();
      else if (tries) requestAnimationFrame(() => give(tries - 1));
    };
    requestAnimationFrame(() => give(30));
  };

  // For those who hear the page: in one place that stays, since what is new as a whole is not always read out.
  const SPOKEN_MS = 5000;
  let region;
  let silence;
  const speak = (sentence) => {
    if (!region?.isConnected) {
      region = document.createElement("div");
      region.className = "aural-spoken";
      region.role = "status";
      document.body.append(region);
    }
    clearTimeout(silence);
    region.textContent = "";
    requestAnimationFrame(() => { region.textContent = sentence; });
    silence = setTimeout(() => { region.textContent = ""; }, SPOKEN_MS);
  };

  // What to focus of a result: its player, or the line above it where it has none; null while it is not there.
  const resultOf = (page, isLate) => {
    const line = document.getElementById(`result-${page}`);
    for (let part = line?.nextElementSibling; part && !part.querySelector(".aural-run"); part = part.nextElementSibling) {
      const player = part.querySelector(".ab");
      if (!player?.checkVisibility()) continue;
      if (player.dataset.state !== "empty") return player;
      if (!isLate) return null;
    }
    return line?.checkVisibility() && line.querySelector("p") ? line : null;
  };
  const isInSight = (node) => {
    const { top, bottom } = node.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };
  // Unless the visitor does something else by now.
  const FRAMES = 90;
  const focusResult = (page, tries = FRAMES) => {
    const from = document.activeElement;
    const waits = from === document.body || [`run-${page}`, `cancel-${page}`].includes(from?.id);
    if (!waits || !started.has(page) || running.has(page)) return;
    const result = resultOf(page, tries === 0);
    if (!result) {
      if (tries) requestAnimationFrame(() => focusResult(page, tries - 1));
      return;
    }
    started.delete(page);
    if (!result.hasAttribute("tabindex")) result.tabIndex = -1;
    // Who has scrolled to another place stays there.
    const stays = from === document.body || isInSight(result) || !isInSight(from);
    result.focus({ preventScroll: stays });
  };

  const end = (page, values) => {
    running.delete(page);
    pass(`cancel-${page}`, `run-${page}`);
    return [update({ visible: true }), update({ visible: false }), line(page, values)];
  };

  return {
    canRun: (page, file) => {
      auralAddress.keep(page, file);
      return update({ interactive: files(file).length > 0 });
    },
    start: (page, clears, ...values) => {
      if (auralAddress.resumes(page)) started.delete(page);
      else started.add(page);
      asked.set(page, auralAddress.begin(page, values));
      if (made.has(page)) earlier.set(page, made.get(page).short);
      running.add(page);
      if (clears) made.delete(page);
      pass(`run-${page}`, `cancel-${page}`);
      return [update({ visible: false }), update({ visible: true }), line(page, values)];
    },
    cancel: (page, ...values) => {
      asked.delete(page);
      started.delete(page);
      speak("Cancelled.");
      return end(page, values);
    },
    earlier: (page) => earlier.get(page) ?? "",
    isDone: (page) => asked.has(page),
    end: (page, ...values) => end(page, values),
    show: (page, fields, ...values) => {
      // To the page, a cancelled run was a success too.
      if (asked.has(page)) {
        running.delete(page);
        made.set(page, { values: asked.get(page), ...describe(fields, asked.get(page)) });
        speak(made.get(page).about);
        focusResult(page);
      }
      return line(page, values);
    },
    adopt: (page, place, values) => {
      const result = made.get(page);
      if (result) result.values = result.values.map((value, index) => (index === place ? values[place] : value));
      return line(page, values);
    },
    line,
  };
})();
