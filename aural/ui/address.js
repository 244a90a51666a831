// The page's address: its tab, the settings that are not defaults, and the job whose result it shows. A reload,
// Back or a second window finds them again; files wait in the browser's tab until there is a job.
window.auralAddress = (() => {
  const HUB = "https://huggingface.co";
  let pages = {}; // page -> its tab, and the texts of its settings' defaults
  let tabs = []; // the first one opens by itself
  let tab; // undefined until the address was followed
  let early; // the tab that was selected until then
  const owned = new Set(["tab", "job"]); // names in the address
  const settings = new Map(); // page -> pairs of name and text
  const shown = new Map(); // tab -> the page that was used last
  const jobs = new Map(); // page -> its latest job
  const stale = new Set(); // pages whose result belongs to other settings
  const resuming = new Map(); // page -> the settings of the run that goes on, each in a list; empty for files
  const stored = (page) => `aural-files-${page}`;

  const text = (value) => {
    if (value === null || value === undefined || value === "") return "none";
    return typeof value === "number" ? String(Number(value.toPrecision(15))) : String(value);
  };
  const newKey = () =>
    [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  const write = (isNew = false) => {
    const page = tab && (shown.get(tab) ?? Object.keys(pages).find((name) => pages[name].tab === tab));
    if (!page) return;
    const query = new URLSearchParams(location.search);
    for (const name of [...query.keys()]) if (owned.has(name)) query.delete(name);
    const chosen = settings.get(page) ?? [];
    const job = stale.has(page) ? undefined : jobs.get(page);
    if (tab !== tabs[0] || shown.has(tab) || chosen.length || job) query.set("tab", page);
    for (const [name, value] of chosen) query.set(name, value);
    if (job) query.set("job", job);
    const search = query.size ? `?${query}` : "";
    now = search;
    if (search === location.search) return;
    history[isNew ? "pushState" : "replaceState"](null, "", `${location.pathname}${search}${location.hash}`);
    // A Space shows the app in a frame: https://huggingface.co/docs/hub/spaces-handle-url-parameters
    if (window.parent !== window && document.referrer.startsWith(HUB))
      window.parent.postMessage({ queryString: String(query) }, HUB);
  };
  let now = location.search;
  window.addEventListener("popstate", () => {
    if (location.search !== now) location.reload();
  });

  const isReload = () =>
    ["reload", "back_forward"].includes(performance.getEntriesByType("navigation")[0]?.type);
  const stillThere = async (page) => {
    const kept = isReload() && JSON.parse(sessionStorage.getItem(stored(page)) ?? "null");
    const found = await Promise.all(
      [kept || []].flat().map((file) => fetch(file.url, { method: "HEAD" }).then((answer) => answer.ok, () => false)),
    );
    return found.length && found.every(Boolean) ? kept : { __type__: "update" };
  };

  const click = (page, until) => {
    const button = document.getElementById(`run-${page}`);
    if (button && !button.disabled) button.click();
    else if (Date.now() < until) setTimeout(click, 100, page, until);
    else resuming.delete(page);
  };

  return {
    open: (known, names) => {
      pages = known;
      tabs = names;
      for (const page of Object.values(pages)) Object.keys(page.defaults).forEach((name) => owned.add(name));
    },
    // From now on the address follows the page, and no longer the page the address.
    opened: () => {
      const asked = new URLSearchParams(location.search).get("tab");
      tab = pages[asked]?.tab ?? (tabs.includes(asked) ? asked : tabs[0]);
      if (pages[asked]) shown.set(tab, asked);
      if (early && early !== tab) {
        tab = early;
        write();
      }
    },
    files: (names) => Promise.all(names.map(stillThere)),
    keep: (page, file) => {
      try {
        if (file && [file].flat().length) sessionStorage.setItem(stored(page), JSON.stringify(file));
        else sessionStorage.removeItem(stored(page));
      } catch {
        // Its storage is full or forbidden: a reload then asks for the file again.
      }
    },
    select: (name, page) => {
      if (!tab) {
        if (name !== tabs[0]) early = name;
        return;
      }
      tab = name;
      if (page) shown.set(tab, page);
      write();
    },
    set: (page, values) => {
      const { tab: own, defaults } = pages[page] ?? {};
      if (!defaults) return;
      const changed = Object.entries(defaults).map(([name, usual], place) => [name, text(values[place]), usual]);
      settings.set(page, changed.filter(([, value, usual]) => value !== usual).map(([name, value]) => [name, value]));
      if (own === tab) {
        if (settings.get(page).length) shown.set(tab, page);
        write();
      }
    },
    // Whether the next run was started before a reload.
    resumes: (page) => resuming.has(page),
    // What a run gets: the values of the page, or those that it had before a reload.
    begin: (page, values) => {
      const earlier = resuming.get(page);
      resuming.delete(page);
      if (!earlier) jobs.set(page, newKey());
      stale.delete(page);
      shown.set(pages[page]?.tab, page);
      write(!earlier);
      return values.map((value, place) => earlier?.[place][0] ?? value);
    },
    belongs: (page, does) => {
      if (does === !stale.has(page)) return;
      if (does) stale.delete(page);
      else stale.add(page);
      write();
    },
    resume: (told) => {
      if (!told) return;
      const { page, values } = JSON.parse(told);
      jobs.set(page, new URLSearchParams(location.search).get("job"));
      resuming.set(page, values);
      click(page, Date.now() + 20_000);
    },
  };
})();
