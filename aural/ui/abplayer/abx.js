// The blind test of the A/B player: X is one of two versions, and the score shows whether they can be told apart.

const TRIALS = [8, 10, 16, 20];
const CONVINCING = 0.05; // a smaller p-value shows a difference

// The blind test, or null: its stage, "setup", "trial" or "result"; the indices of the pair among the versions; and
// from the first trial on the number of trials, the answers, which of A, B and X is audible, whether X has been heard,
// and `x`, the index of X in the pair. `x` is stored only here, and nothing on the page depends on it before the last
// answer.
let test = null;
let count = 10;

const blind = () => test?.stage === "trial";
const usable = () => versions.flatMap((version, index) => (version.loudness_lufs === null ? [] : [index]));

// Why something other than the sound could reveal X; "" if nothing could.
const refusal = () => {
  const channels = test.pair.map((index) => versions[index].channels);
  if (usable().length < 2)
    return "The test needs two versions of known loudness; otherwise their level would reveal X.";
  if (engine.kind !== "buffers")
    return "Sounds this long are streamed, and the switching would reveal X. Test a shorter piece.";
  if (channels[0] !== channels[1] && Math.max(...channels) > 2)
    return "The test needs two versions with the same number of channels.";
  return "";
};

// Probability of at least this many right answers by chance: one-sided, exact.
const chance = (right, trials) => {
  let [ways, sum] = [1, 0];
  for (let each = trials; each >= right; each--) {
    sum += ways;
    ways = (ways * each) / (trials - each + 1);
  }
  return sum / 2 ** trials;
};

const verdict = () => {
  const trials = test.answers.length;
  const right = test.answers.filter(({ x, said }) => x === said).length;
  const p = chance(right, trials);
  root.dataset.p = p;
  const early = trials < test.count ? `Ended early: ${trials} of ${test.count} trials count. ` : "";
  const found =
    p < CONVINCING
      ? `You hear a difference (below ${CONVINCING}).`
      : "No difference shown. More trials may help.";
  return `${early}${right} of ${trials} right: p ${p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`}. ${found}`;
};

const smallButton = (text, press) => {
  const button = make("button", { type: "button", class: "ab-small" }, text);
  button.onclick = () => press();
  return button;
};

const pairFields = () =>
  test.pair.map((chosen, side) => {
    const select = make(
      "select",
      { "aria-label": `Version to hear as ${KEYS[side]}` },
      ...versions.map((version, index) => {
        const known = version.loudness_lufs !== null;
        const option = make("option", { value: index }, known ? version.label : `${version.label} (loudness unknown)`);
        option.disabled = !known;
        option.selected = index === chosen;
        return option;
      }),
    );
    select.onchange = () => {
      const [before, other] = [test.pair[side], test.pair[1 - side]];
      test.pair[side] = +select.value;
      if (other === test.pair[side]) test.pair[1 - side] = before; // swap the two
      showTest();
      panel.querySelectorAll("select")[side].focus();
    };
    return make("label", { class: "ab-field" }, KEYS[side], select);
  });

const countField = () => {
  const options = TRIALS.map((trials) => {
    const input = make("input", { type: "radio", name: "trials", value: trials });
    input.checked = trials === count;
    input.onchange = () => (count = trials);
    return make("label", {}, input, make("span", {}, String(trials)));
  });
  return make("fieldset", { class: "ab-count" }, make("legend", {}, "Trials"), ...options);
};

const setup = () => {
  const refused = refusal();
  const form = make("form", { class: "ab-setup" });
  const rules = [
    "X is A or B, drawn by chance for every trial. Listen for as long as you like and say which it is.",
    "Loudness is matched. The score comes after the last trial.",
  ];
  form.append(make("p", {}, refused || rules.join(" ")));
  if (usable().length > 1 && versions.length > 2 && engine.kind === "buffers") form.append(...pairFields());
  if (!refused) form.append(countField(), make("button", { class: "ab-small ab-primary" }, "Start"));
  form.onsubmit = (event) => {
    event.preventDefault();
    startTest();
  };
  return [form];
};

// One mark per trial; until the end it shows only that there was an answer.
const marks = () => {
  const list = make("ol", { class: "ab-marks" });
  if (blind()) list.setAttribute("aria-hidden", "true");
  for (let trial = 0; trial < test.count; trial++) {
    const given = test.answers[trial];
    const item = make("li", given ? { class: "ab-done" } : {});
    if (given && !blind()) {
      const right = given.x === given.said;
      item.className = right ? "ab-right" : "ab-wrong";
      item.append(KEYS[given.x], make("span", { class: "ab-spoken" }, right ? ": right" : ": wrong"));
    }
    list.append(item);
  }
  return list;
};

const trialHead = () => {
  const trial = make("strong", {}, `Trial ${test.answers.length + 1} of ${test.count}`);
  return [make("div", { class: "ab-trial" }, trial, marks(), smallButton("End early", finish))];
};

const result = () => [
  make("p", { class: "ab-verdict" }, test.verdict),
  make(
    "div",
    { class: "ab-trial" },
    marks(),
    make("span", { class: "ab-facts" }, "What X was (filled: correct)"),
    smallButton("Test again", () => openTest(test.pair)),
  ),
];

const showTest = () => {
  const held = root.contains(document.activeElement);
  root.dataset.test = test?.stage ?? "";
  testButton.textContent = test ? "Close test" : "ABX test";
  testButton.setAttribute("aria-expanded", test !== null);
  panel.hidden = !test;
  panel.replaceChildren(...(test ? { setup, trial: trialHead, result }[test.stage]() : []));
  choices.hidden = blind() || !versions.length;
  ears.hidden = answers.hidden = !blind();
  if (engine) showHint();
  showChoice();
  const focused = document.activeElement; // may be gone or hidden by now
  if (held && !(root.contains(focused) && focused.checkVisibility())) root.focus({ preventScroll: true });
};

const openTest = (pair = usable()) => {
  test = { stage: "setup", pair: [pair[0] ?? 0, pair[1] ?? 1] };
  showTest();
  spoken.textContent = panel.querySelector("p").textContent;
};

const closeTest = () => {
  if (blind()) pause();
  test = null;
  showTest();
};

const startTest = () => {
  test = { ...test, stage: "trial", count, answers: [] };
  delete root.dataset.p;
  const names = [...test.pair.map((index) => versions[index].label), "A or B"];
  ears.replaceChildren(
    ...names.map((name, ear) => {
      const letter = make("span", { class: "ab-letter" }, "ABX"[ear]);
      const button = make("button", { type: "button", class: "ab-version", title: name }, letter);
      button.append(make("span", { class: "ab-name" }, name));
      button.onclick = () => listen(ear);
      return button;
    }),
  );
  answers.replaceChildren(
    ...[0, 1].map((said) => {
      const key = make("kbd", { "aria-hidden": "true" }, String(said + 1));
      const button = make("button", { type: "button" }, `X is ${KEYS[said]}`, key);
      button.onclick = () => answer(said);
      return button;
    }),
  );
  nextTrial();
};

const nextTrial = () => {
  test.x = crypto.getRandomValues(new Uint8Array(1))[0] & 1;
  test.heard = false;
  test.ear = 0;
  showTest();
  showAnswers();
  spoken.textContent = `Trial ${test.answers.length + 1} of ${test.count}`;
};

const showAnswers = () => {
  for (const button of answers.children) button.setAttribute("aria-disabled", !test.heard);
};

const listen = (ear) => {
  test.ear = ear;
  test.heard ||= ear === 2;
  showAnswers();
  note.textContent = "";
  showChoice();
  spoken.textContent = `Listening to ${"ABX"[ear]}`;
  if (!playing) play();
};

const answer = (said) => {
  if (!test.heard) {
    note.textContent = "Listen to X first.";
    return;
  }
  test.answers.push({ x: test.x, said });
  test.answers.length < test.count ? nextTrial() : finish();
};

const finish = () => {
  if (!test.answers.length) return openTest();
  pause();
  test.verdict = verdict();
  test.stage = "result";
  showTest();
  spoken.textContent = test.verdict;
};
