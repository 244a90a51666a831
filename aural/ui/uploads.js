// Upload fields for sound: Gradio's takes files of an audio type only, and says no to others by a list of MIME
// types. Here they take audio and video, by type or by the ending of the name, and say no in a sentence.
(() => {
  const ENDINGS = new Set(SUFFIXES);
  const FIELD = 'input[type="file"][data-media]';
  const isMedia = ({ name, type }) =>
    /^(audio|video)\//.test(type) || ENDINGS.has(name.slice(name.lastIndexOf(".")).toLowerCase());

  // The same files, but all media as what the field takes.
  const relabel = (files) => {
    const all = new DataTransfer();
    for (const file of files) {
      const isOther = isMedia(file) && !file.type.startsWith("audio/");
      all.items.add(isOther ? new File([file], file.name, { type: "audio/mpeg" }) : file);
    }
    return all;
  };

  document.addEventListener("change", ({ target }) => {
    if (target.matches?.(FIELD)) target.files = relabel(target.files).files;
  }, true);

  const relabelled = new WeakSet();
  document.addEventListener("drop", (event) => {
    const field = event.target.closest?.(".upload-container")?.querySelector(FIELD);
    if (!field || relabelled.has(event) || !event.dataTransfer?.files.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const again = new DragEvent("drop", {
      bubbles: true, cancelable: true, dataTransfer: relabel(event.dataTransfer.files),
    });
    relabelled.add(again);
    event.target.dispatchEvent(again);
  }, true);

  // Below an empty field Gradio has two icons. The first does nothing while the field takes uploads, and after the
  // second one has to press another button.
  const record = (field, tries) => {
    const start = field.querySelector(".record-button");
    if (start) start.click();
    else if (tries) requestAnimationFrame(() => record(field, tries - 1));
  };
  const SOURCES = {
    upload: ["Choose file", (field) => field.querySelector('.upload-container input[type="file"]').click()],
    mic: ["Record", (field) => record(field, 60)],
  };
  const equip = (button) => {
    const icon = button.querySelector("svg")?.classList.value.match(/feather-(\w+)/)?.[1];
    if (!SOURCES[icon]) return;
    const [name, act] = SOURCES[icon];
    button.dataset.source = icon;
    button.setAttribute("aria-label", name);
    button.addEventListener("click", () => {
      const field = button.closest(".audio-container");
      if (field.querySelector(":scope > .upload-container")) act(field);
    });
  };

  const REFUSED = /^Invalid file types?: (.*)\. Only .* allowed\.$/s;
  const update = () => {
    document.querySelectorAll(".source-selection > button:not([data-source])").forEach(equip);
    for (const field of document.querySelectorAll('input[type="file"][accept*="audio/"]:not([data-media])')) {
      field.dataset.media = "";
      field.accept = ["audio/*", "video/*", ...ENDINGS].join(",");
    }
    for (const text of document.querySelectorAll('[data-testid="toast-text"]')) {
      const names = text.textContent.trim().match(REFUSED)?.[1];
      if (names) text.textContent = `Can't use ${names} here. Choose an audio or video file, such as WAV, FLAC, MP3, M4A or MP4.`;
    }
  };
  let next = 0;
  const soon = () => { next ||= requestAnimationFrame(() => { next = 0; update(); }); };
  new MutationObserver(soon).observe(document.documentElement, { subtree: true, childList: true });
})();
